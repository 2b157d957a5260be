from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.errors import DocumentRefused
from ingest.fetch import canonical


@pytest.mark.parametrize(
    ("written", "known_as"),
    [
        ("HTTP://EXAMPLE.com:80/a/../b/./%7euser%2fx?q=ü&a=%e4 b#frag", "http://example.com/b/~user%2Fx?q=%C3%BC&a=%E4%20b"),
        ("https://ex.com", "https://ex.com/"), ("https://ex.com:443/?", "https://ex.com/"), ("https://ex.com:80/", "https://ex.com:80/"),
        ("https://ex.com./a", "https://ex.com/a"), ("https://MÜNCHEN.de/ü", "https://xn--mnchen-3ya.de/%C3%BC"), ("http://ex.com/%2e%2e/b/%2E/c", "http://ex.com/b/c"),
        ("http://ex.com/../../a", "http://ex.com/a"), ("http://ex.com/a//b/../c", "http://ex.com/a//c"), ("http://ex.com/100%", "http://ex.com/100%25"),
        ("http://ex.com/%%37e", "http://ex.com/%257e"), ("http://ex.com/a??", "http://ex.com/a??"), ("http://[0:0::1]:80/", "http://[::1]/"), ("  http://ex.com/a\n", "http://ex.com/a"),
        ("http://ex.com/a|b\\c^", "http://ex.com/a%7Cb%5Cc%5E"), ("http://ex.com/?b=2&a=1&utm_source=x", "http://ex.com/?b=2&a=1&utm_source=x"),
        ("http://1.2.3.4/", "http://1.2.3.4/"), ("http://a_b.ex.com/", "http://a_b.ex.com/"),
    ],
)  # fmt: skip
def test_a_page_has_one_name(written: str, known_as: str):
    assert canonical(written) == known_as
    assert canonical(known_as) == known_as


@pytest.mark.parametrize(
    "written",
    ["", "ex.com", "/a", "ftp://ex.com/", "file:///etc/passwd", "javascript:alert(1)", "http:///a", "http:a", "http://u@ex.com/", "http://u:p@ex.com/", "http://:p@ex.com/",
     "http://ex.com\\@evil.example/", "http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/", "http://1.2.3.4.5/", "http://[fe80::1%25eth0]/",
     "http://[fe80::1%eth0]/", "http://[::1", "http://ex.com:0/", "http://ex.com:65536/", "http://ex.com:x/", "http://-a.com/", "http://a..b/", "http://a b/", "http://ex.com/a\tb",
     "http://ex.com/a\r\nHost: evil", "http://ex.com/\ud800", "http://ex.com/\x00", "http://" + "a." * 200 + "b/", "http://ex.com/" + "a" * 2000],
)  # fmt: skip
def test_what_is_no_address_of_a_page_is_refused(written: str):
    with pytest.raises(DocumentRefused) as caught:
        canonical(written)

    assert caught.value.reason == "fetch_refused"


@pytest.mark.parametrize(
    ("reference", "known_as"),
    [("../x", "https://ex.com/a/x"), ("//o.com/p", "https://o.com/p"), ("?a=1", "https://ex.com/a/b/c?a=1"), ("#f", "https://ex.com/a/b/c?q"), ("/ü", "https://ex.com/%C3%BC"), ("http://z.com", "http://z.com/")],
)  # fmt: skip
def test_references_are_resolved(reference: str, known_as: str):
    assert canonical(reference, base="https://ex.com/a/b/c?q") == known_as


hosts = st.sampled_from(["ex.com", "EX.com.", "münchen.de", "[::1]", "1.2.3.4", "a_b.c"])
rest = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")) | st.sampled_from("/.%?&=#~2eEfF "), max_size=40)


@given(st.sampled_from(["http://", "HTTPS://"]), hosts, st.sampled_from(["", ":80", ":443", ":8080"]), rest)
@example("http://", "ex.com", "", "/%")
@example("http://", "ex.com", "", "/%252e%2e")
@example("http://", "ex.com", "", "?")
def test_a_name_is_its_own_name_and_fit_to_be_sent(scheme: str, host: str, port: str, path: str):
    try:
        name = canonical(f"{scheme}{host}{port}/{path}")
    except DocumentRefused:
        return  # what follows may turn the host into something else

    assert canonical(name) == name
    assert name.isascii()
    assert not set(name) & set(' \t\r\n"<>\\^`{|}#')
    parts = urlsplit(name)
    assert parts.username is None
    assert not any(part in (".", "..") for part in parts.path.split("/"))


@given(st.text(max_size=60))
@example("http://[")
@example("http://\u2100.com")
@example("http://ex.com:\u0661")
def test_anything_else_is_refused_and_never_a_crash(text: str):
    for url in (text, f"http://{text}", f"https://ex.com/{text}"):
        try:
            name = canonical(url)
        except DocumentRefused:
            continue
        assert canonical(name) == name
