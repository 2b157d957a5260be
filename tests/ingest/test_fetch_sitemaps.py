import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ingest.fetch import Fetched, Limits, fetch, site_prefixes, sitemap
from ingest.fetch.sitemaps import Listed, is_sitemap
from tests.ingest.fake_web import Web, answer, packed

LIMITS = Limits(seconds=20, max_bytes=1_000_000)
HERE = "https://a.example/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'


def urlset(*places: str) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><urlset {NAMESPACE}>'
        + "".join(f"<url><loc>{p}</loc></url>" for p in places)
        + "</urlset>"
    )


def index(*places: str) -> str:
    return (
        f"<sitemapindex {NAMESPACE}>" + "".join(f"<sitemap><loc>{place}</loc></sitemap>" for place in places) + "</sitemapindex>"
    )


def listed_by(pages: dict[str, str | bytes], *, limits: Limits = LIMITS, robots: bytes = answer(status=404)) -> Listed:
    web = Web(
        {url: body if isinstance(body, bytes) and body.startswith(b"HTTP") else answer(body) for url, body in pages.items()}
    )
    web.pages.setdefault("https://a.example/robots.txt", robots)
    return sitemap(fetch(HERE, limits, reach=web.reach), limits, reach=web.reach)


def test_pages_come_in_order_and_once():
    listed = listed_by(
        {
            HERE: urlset(
                "https://a.example/b",
                " https://A.example/a#x\n",
                "/c?x=1&amp;y=2",
                "https://a.example:443/b",
                "<![CDATA[https://a.example/d]]>",
            )
        }
    )

    assert listed == Listed([f"https://a.example/{page}" for page in ("b", "a", "c?x=1&y=2", "d")])


def test_images_and_translations_are_no_pages():
    body = (
        f"<urlset {NAMESPACE} xmlns:x='http://www.w3.org/1999/xhtml'><url><loc>/a</loc><image:image><image:loc>/i.png</image:loc></image:image>"
        "<x:link rel='alternate' href='/de'/><lastmod>2024-01-01</lastmod></url></urlset>"
    )

    assert listed_by({HERE: body}).pages == ["https://a.example/a"]


def test_sitemaps_name_sitemaps_packed_or_not():
    listed = listed_by({
        HERE: index("/1.xml.gz", "/2.xml", "/gone.xml"), "https://a.example/1.xml.gz": packed(urlset("/a").encode()), "https://a.example/2.xml": urlset("/b"),
    })  # fmt: skip

    assert listed.pages == ["https://a.example/a", "https://a.example/b"]
    assert [(url, refusal.reason) for url, refusal in listed.failed] == [("https://a.example/gone.xml", "fetch_failed")]


def test_a_circle_of_sitemaps_is_walked_once():
    listed = listed_by(
        {
            HERE: index("/2.xml", HERE),
            "https://a.example/2.xml": index(HERE, "/2.xml", "/3.xml"),
            "https://a.example/3.xml": urlset("/a"),
        }
    )

    assert listed == Listed(["https://a.example/a"])


def test_sitemaps_do_not_go_on_for_ever():
    deep: dict[str, str | bytes] = {
        HERE: index("/2.xml"),
        "https://a.example/2.xml": index("/3.xml"),
        "https://a.example/3.xml": index("/4.xml"),
    }
    wide = listed_by(
        {HERE: index(*(f"/{n}.xml" for n in range(9))), **{f"https://a.example/{n}.xml": urlset(f"/{n}") for n in range(9)}},
        limits=replace(LIMITS, sitemaps=4),
    )

    assert [(url, refusal.reason) for url, refusal in listed_by(deep).failed] == [("https://a.example/4.xml", "too_large")]
    assert wide.pages == ["https://a.example/0", "https://a.example/1", "https://a.example/2"]
    assert [refusal.reason for _, refusal in wide.failed] == ["too_large"]


def test_too_many_pages_are_said_to_be_too_many():
    listed = listed_by({HERE: urlset(*(f"/{n}" for n in range(10)))}, limits=replace(LIMITS, pages=4))

    assert listed.pages == [f"https://a.example/{n}" for n in range(4)]
    assert [(url, refusal.reason) for url, refusal in listed.failed] == [(HERE, "too_large")]


def test_a_sitemap_names_only_its_own_site():
    listed = listed_by(
        {
            HERE: urlset(
                "https://b.example/",
                "https://www.a.example/x",
                "http://10.0.0.1/",
                "ftp://a.example/",
                "https://u:p@a.example/",
                "",
            )
        }
    )

    assert listed.pages == ["https://www.a.example/x"]
    assert dict(listed.left_out) == {
        "https://b.example/": "on another site than its sitemap", "http://10.0.0.1/": "on another site than its sitemap",
        "entry 'ftp://a.example/'": "no web address", "entry 'https://u:p@a.example/'": "no web address",
    }  # fmt: skip


def test_all_it_could_name_begins_alike():
    assert set(site_prefixes("https://www.a.example/docs/sitemap.xml")) == {
        "http://a.example/", "https://a.example/", "http://www.a.example/", "https://www.a.example/",
    }  # fmt: skip


def test_what_robots_may_not_read_is_left_out():
    listed = listed_by({HERE: urlset("/a", "/private/b")}, robots=answer("User-agent: *\nDisallow: /private", kind="text/plain"))

    assert listed == Listed(["https://a.example/a"], [("https://a.example/private/b", "robots.txt")])


@pytest.mark.parametrize(("status", "reads"), [(404, True), (403, True), (429, False), (500, False), (503, False)])
def test_robots_that_are_not_there_allow_all_and_robots_that_fail_allow_nothing(status: int, reads: bool):
    listed = listed_by({HERE: urlset("/a")}, robots=answer(status=status))

    assert listed.pages == (["https://a.example/a"] if reads else [])
    assert ["robots.txt" in refusal.message for _, refusal in listed.failed] == ([] if reads else [True])


@pytest.mark.parametrize(
    "attack",
    [
        f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><urlset {NAMESPACE}><url><loc>/&b;</loc></url></urlset>',
        f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset {NAMESPACE}><url><loc>/&a;</loc></url></urlset>',
        f'<!DOCTYPE x SYSTEM "http://10.0.0.1/x.dtd"><urlset {NAMESPACE}><url><loc>/a</loc></url></urlset>',
    ],
)
def test_entities_are_never_opened(attack: str):
    web = Web({HERE: answer(attack), "https://a.example/robots.txt": answer(status=404)})
    listed = sitemap(fetch(HERE, LIMITS, reach=web.reach), LIMITS, reach=web.reach)

    assert listed.pages == []
    assert [refusal.reason for _, refusal in listed.failed] == ["fetch_failed"]
    assert len(web.requests) == 2


def test_what_came_before_the_damage_is_kept_and_the_damage_said():
    listed = listed_by({HERE: urlset(*(f"/{n:05}" for n in range(5_000))) + "<"})

    assert len(listed.pages) > 1_000
    assert [refusal.reason for _, refusal in listed.failed] == ["fetch_failed"]


def test_a_packed_bomb_is_never_unpacked():
    bomb = packed(urlset("/a").encode() + b" " * 90_000_000)

    assert [refusal.reason for _, refusal in listed_by({HERE: bomb}).failed] == ["too_large"]


def found(raw: bytes) -> Fetched:
    return Fetched(HERE, HERE, raw, "", "")


@pytest.mark.parametrize(
    ("raw", "says"),
    [(urlset().encode(), True), (index().encode(), True), (b"\xef\xbb\xbf<!-- x -->\n<?xml-stylesheet?><urlset>", True), (b"<s:urlset xmlns:s='x'>", True), (packed(urlset().encode()), True),
     (b"<html>urlset", False), (b"<rss>", False), (b"", False), (packed(b"text"), False), (b"\x1f\x8bxx", False), (b"<!-- <urlset> -->", False), (b"<urlsets>", False)],
)  # fmt: skip
def test_a_sitemap_is_known_by_its_content(raw: bytes, says: bool):
    assert is_sitemap(found(raw)) is says


def test_no_page_can_make_the_look_at_it_take_for_ever():
    started = time.monotonic()

    assert not is_sitemap(found(b"<!---->" * 500 + b"x"))
    assert not is_sitemap(found(b"<? ?>" * 500 + b"x"))
    assert time.monotonic() - started < 1


def test_many_sitemaps_are_walked_without_recursion():
    names: Sequence[str] = [f"/{n}.xml" for n in range(150)]
    listed = listed_by({HERE: index(*names), **{f"https://a.example{name}": urlset(f"{name}/page") for name in names}})

    assert len(listed.pages) == 150
