import time

import pytest

from ingest.fetch.robots import allows

SITE = "https://a.example"


@pytest.mark.parametrize(
    ("text", "allowed", "not_allowed"),
    [
        ("", ["/", "/a"], []),
        ("User-agent: *\nDisallow:", ["/a"], []),
        ("User-agent: *\nDisallow: /", [], ["/", "/a"]),
        ("user-AGENT : *\r\nDISALLOW: /a # why\r\n", ["/b"], ["/a", "/ab", "/a/b"]),
        ("User-agent: *\nDisallow: /\nAllow: /docs", ["/docs", "/docs/x"], ["/", "/doc"]),
        ("User-agent: *\nAllow: /a\nDisallow: /a", ["/a"], []),
        ("User-agent: *\nDisallow: /*.pdf$", ["/a.pdfx", "/a.pdf?x"], ["/a.pdf", "/x/y.pdf"]),
        ("User-agent: *\nDisallow: /*?print", ["/a?b=print"], ["/a?print=1"]),
        ("User-agent: *\nDisallow: /a*b*c", ["/acb"], ["/abc", "/aXbYcZ"]),
        ("User-agent: *\nDisallow: /x$", ["/xy"], ["/x"]),
        ("User-agent: *\nDisallow: /a*a$", ["/a"], ["/aa", "/aba"]),
        ("User-agent: other\nDisallow: /", ["/a"], []),
        ("User-agent: citewell\nDisallow: /a\n\nUser-agent: *\nDisallow: /", ["/b"], ["/a"]),
        ("User-agent: *\nDisallow: /\n\nUser-agent: CiteWell/1.0\nDisallow:", ["/a"], []),
        ("User-agent: other\nUser-agent: citewell\nDisallow: /a\nUser-agent: *\nDisallow: /b", ["/b"], ["/a"]),
        ("User-agent: citewell\nDisallow: /a\nUser-agent: x\nDisallow: /b\nUser-agent: citewell\nDisallow: /c", ["/b"], ["/a", "/c"]),
        ("Disallow: /\nSitemap: /s.xml\nnonsense\n", ["/a"], []),
        ("User-agent: *\nDisallow: /%7euser\nDisallow: /ü\nDisallow: /a%2fb", ["/a/b"], ["/~user", "/%C3%BC", "/a%2Fb"]),
        ("\ufeffUser-agent: *\nDisallow: /a", [], ["/a"]),
    ],
)  # fmt: skip
def test_rules_are_read_as_the_standard_says(text: str, allowed: list[str], not_allowed: list[str]):
    may_read = allows(text.encode())

    assert [path for path in allowed if not may_read(SITE + path)] == []
    assert [path for path in not_allowed if may_read(SITE + path)] == []


def test_a_page_of_html_in_its_place_forbids_nothing():
    assert allows(b"<!doctype html><title>Not found</title>")(f"{SITE}/a")


def test_bytes_that_are_no_text_are_lived_with():
    assert not allows(b"\xff\xfe\x00\nUser-agent: *\nDisallow: /a\n")(f"{SITE}/a")


def test_no_rule_can_be_made_to_take_for_ever():
    started = time.monotonic()

    allows(b"User-agent: *\nDisallow: /" + b"*a" * 5_000 + b"b\n")(f"{SITE}/" + "a" * 1_900)

    assert time.monotonic() - started < 1
