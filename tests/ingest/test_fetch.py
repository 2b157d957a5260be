import itertools
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import httpcore
import pytest

from app.core.errors import DocumentRefused
from ingest.fetch import Failed, Fetched, LeftOut, Limits, Reach, fetch, page, pages
from tests.ingest.fake_web import PUBLIC, Web, answer, packed, to

LIMITS = Limits(seconds=20, max_bytes=100_000)
LOOPBACK = (ip_network("127.0.0.0/8"),)


def refusal_of(web: Web, url: str = "https://a.example/", limits: Limits = LIMITS) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as caught:
        fetch(url, limits, reach=web.reach)
    return caught.value


def test_a_page_is_fetched_with_its_identity_and_kind():
    web = Web({"https://a.example/b": answer("<p>text</p>")})

    found = fetch("HTTPS://A.example:443/x/../b#part", LIMITS, reach=web.reach)

    assert found == Fetched("https://a.example/b", "https://a.example/b", b"<p>text</p>", "text/html", ".html")


def test_the_server_is_told_who_asks_and_nothing_else():
    web = Web({"http://a.example/": answer("x", Set_Cookie="id=1"), "http://a.example/2": answer("x")})
    fetch("http://a.example/", LIMITS, reach=web.reach)
    fetch("http://a.example/2", LIMITS, reach=web.reach)

    names = {line.split(b":")[0].lower() for line in web.requests[1].split(b"\r\n")[1:] if line}

    assert names == {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
    assert b"User-Agent: citewell/" in web.requests[1]


def test_the_connection_goes_to_the_checked_address_and_keeps_the_name():
    web = Web({"https://a.example/": answer("x")}, {"a.example": [[PUBLIC]]})

    fetch("https://a.example/", LIMITS, reach=web.reach)

    assert web.connected == [(PUBLIC, 443)]
    assert web.tls == ["a.example"]
    assert b"Host: a.example\r\n" in web.requests[0]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "::", "fe80::1%eth0",
     "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:93.184.216.34", "64:ff9b::a00:1", "2002:a00:1::1", "168.63.129.16", "224.0.0.1", "255.255.255.255"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused_and_nobody_connected_to(address: str):
    web = Web(names={"a.example": [[address]]})

    refusal = refusal_of(web)

    assert refusal.reason == "fetch_refused"
    assert "ingest.fetch_networks" in refusal.message
    assert address not in refusal.message  # which address a name has in there is nobody's business
    assert web.connected == []


def test_one_private_address_among_public_ones_is_enough():
    web = Web({"https://a.example/": answer("x")}, {"a.example": [[PUBLIC, "10.0.0.1"]]})

    assert refusal_of(web).reason == "fetch_refused"
    assert web.connected == []


def test_an_address_that_is_written_out_is_checked_too():
    web = Web(names={"127.0.0.1": [["127.0.0.1"]], "::1": [["::1"]]})

    assert refusal_of(web, "http://127.0.0.1/").reason == "fetch_refused"
    assert refusal_of(web, "http://[::1]/").reason == "fetch_refused"
    assert web.connected == []


def test_a_name_that_answers_differently_the_second_time_gains_nothing():
    web = Web({"https://a.example/": answer("x")}, {"a.example": [[PUBLIC], ["127.0.0.1"]]})

    assert fetch("https://a.example/", LIMITS, reach=web.reach).raw == b"x"
    assert (web.looked_up, web.connected) == (["a.example"], [(PUBLIC, 443)])

    assert refusal_of(web).reason == "fetch_refused"  # a new fetch asks anew, and is refused
    assert len(web.connected) == 1


def test_a_name_that_turns_private_between_redirects_is_refused():
    web = Web({"https://a.example/": to("/2"), "https://a.example/2": answer("secret")}, {"a.example": [[PUBLIC], ["10.0.0.1"]]})

    assert refusal_of(web).reason == "fetch_refused"
    assert web.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["https://inside.example/", "https://127.0.0.1/", "https://[::1]/x", "//inside.example/x"])
def test_a_redirect_that_leads_inside_is_refused(status: int, place: str):
    inside = {"inside.example": [["192.168.0.7"]], "127.0.0.1": [["127.0.0.1"]], "::1": [["::1"]]}
    web = Web({"https://a.example/": to(place, status)}, inside)

    assert refusal_of(web).reason == "fetch_refused"
    assert web.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "place",
    ["file:///etc/passwd", "ftp://a.example/", "gopher://a.example/", "https://u:p@a.example/", "http://a.example/", "https://a.example:8443/",
     "https://2130706433/", "data:text/html,x", "https://[::1"],
)  # fmt: skip
def test_a_redirect_to_what_is_not_fetched_is_refused(place: str):
    web = Web({"https://a.example/": to(place)})

    assert refusal_of(web).reason == "fetch_refused"
    assert len(web.connected) == 1


def test_a_redirect_does_not_change_a_pages_identity():
    web = Web({"https://a.example/old": to("../new/?q", 301), "https://a.example/new/?q": answer("x")})

    found = fetch("https://a.example/old", LIMITS, reach=web.reach)

    assert (found.url, found.source) == ("https://a.example/old", "https://a.example/new/?q")


def test_redirects_come_to_an_end():
    web = Web({f"https://a.example/{n}": to(f"/{n + 1}") for n in range(20)})

    assert "5 times" in refusal_of(web, "https://a.example/0").message
    assert len(web.connected) == 6


def test_the_fifth_redirect_is_still_followed():
    web = Web({**{f"https://a.example/{n}": to(f"/{n + 1}") for n in range(5)}, "https://a.example/5": answer("x")})

    assert fetch("https://a.example/0", LIMITS, reach=web.reach).raw == b"x"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://a.example:8443/", "8443"),
        ("http://a.example:22/", "22"),
        ("ftp://a.example/", "http"),
        ("https://u@a.example/", "login"),
    ],
)
def test_what_must_not_be_fetched_is_refused_before_anything_is_looked_up(url: str, says: str):
    web = Web()

    refusal = refusal_of(web, url)

    assert (refusal.reason, says in refusal.message) == ("fetch_refused", True)
    assert web.looked_up == []


@pytest.mark.parametrize(
    ("status", "says"), [(401, "login"), (403, "login"), (404, "no such"), (410, "no such"), (429, "later"), (503, "later"), (204, "no page"), (304, "no page"), (206, "no page"), (302, "no page")]
)  # fmt: skip
def test_an_answer_without_a_page_says_what_to_do(status: int, says: str):
    refusal = refusal_of(Web({"https://a.example/": answer(status=status)}))

    assert refusal.reason == "fetch_failed"
    assert says in refusal.message
    assert f"HTTP {status}" in refusal.message


def test_names_and_servers_that_are_not_there_fail():
    web = Web(names={"nowhere.example": [[]]}, dead={PUBLIC})

    assert "no site" in refusal_of(web, "https://nowhere.example/").message
    assert refusal_of(web).reason == "fetch_failed"


def test_a_lookup_that_fails_is_a_failure():
    def nobody(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(DocumentRefused) as caught:
        fetch("https://a.example/", LIMITS, reach=Reach(nobody, Web()))

    assert caught.value.reason == "fetch_failed"


def test_the_next_address_of_a_name_is_tried():
    web = Web({"https://a.example/": answer("x")}, {"a.example": [["93.184.216.1", PUBLIC]]}, dead={"93.184.216.1"})

    assert fetch("https://a.example/", LIMITS, reach=web.reach).raw == b"x"


def test_too_many_bytes_are_refused_whether_announced_or_not():
    announced = Web({"https://a.example/": [answer(b"", length=100_001)]})
    chunks = (b"%x\r\n%s\r\n" % (len(piece), piece) for piece in itertools.repeat(b"y" * 10_000))
    endless = Web({"https://a.example/": itertools.chain([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], chunks)})

    assert refusal_of(announced).reason == "too_large"
    assert refusal_of(endless).reason == "too_large"
    assert len(next(chunks)) > 10_000  # it was left off, not read to an end


def test_just_the_limit_is_read():
    assert (
        len(fetch("https://a.example/", LIMITS, reach=Web({"https://a.example/": answer(b"y" * 100_000)}).reach).raw) == 100_000
    )


@pytest.mark.parametrize("length", [3, 7])
def test_a_length_that_lies_is_not_believed(length: int):
    web = Web({"https://a.example/": answer(b"12345", length=length)})

    if length > 5:
        assert refusal_of(web).reason == "fetch_failed"
    else:  # HTTP says that the page ends there
        assert fetch("https://a.example/", LIMITS, reach=web.reach).raw == b"123"


@pytest.mark.parametrize(
    "raw",
    [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000, b"\x16\x03\x01"],
)  # fmt: skip
def test_what_is_no_http_fails(raw: bytes):
    assert refusal_of(Web({"https://a.example/": raw})).reason == "fetch_failed"


def test_packed_pages_are_unpacked():
    web = Web({"https://a.example/": answer(packed(b"te") + packed(b"xt"), Content_Encoding="GZip")})

    assert fetch("https://a.example/", LIMITS, reach=web.reach).raw == b"text"


def test_a_bomb_is_never_unpacked():
    bomb = packed(bytes(90_000_000))
    assert len(bomb) < 100_000

    assert refusal_of(Web({"https://a.example/": answer(bomb, Content_Encoding="gzip")})).reason == "too_large"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(packed(b"text" * 1000)[:-20], "gzip"), (b"text", "gzip"), (packed(b"a") + b"junk", "gzip"), (b"text", "br"), (b"text", "gzip, gzip"),
     (packed(b"") * 200, "gzip")],
)  # fmt: skip
def test_what_can_not_be_unpacked_fails(body: bytes, encoding: str):
    assert refusal_of(Web({"https://a.example/": answer(body, Content_Encoding=encoding)})).reason == "fetch_failed"


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_byte_now_and_then_does_not_keep_it_open(where: str):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"

    def drip() -> Iterator[bytes]:
        if where == "body":
            yield head
        for byte in head if where == "head" else b"x" * 100_000:
            time.sleep(0.05)
            yield bytes([byte])

    started = time.monotonic()
    refusal = refusal_of(Web({"https://a.example/": drip()}), limits=Limits(seconds=0.4))

    assert (refusal.reason, "0.4 s" in refusal.message) == ("fetch_failed", True)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("kind", "path", "suffix"),
    [("text/html", "/", ".html"), ("application/xhtml+xml", "/x", ".html"), ("text/html", "/page.php", ".html"), ("text/plain", "/README.md", ".md"),
     ("text/plain; charset=x", "/LICENSE", ".txt"), ("application/pdf", "/doc", ".pdf"), (None, "/doc.PDF", ".pdf"), ("application/octet-stream", "/a.md", ".md"),
     ("text/markdown", "/x", ".md"), ("image/png", "/x", ".png"), (None, "/x", ""), ("application/x-ndjson", "/x", ".jsonl"), ("text/plain", "/a%2Emd?b=c.pdf", ".md")],
)  # fmt: skip
def test_the_kind_is_by_the_type_and_by_the_name_where_that_says_little(kind: str | None, path: str, suffix: str):
    found = fetch(
        f"https://a.example{path}",
        LIMITS,
        reach=Web({f"https://a.example{path.replace('%2E', '.')}": answer("x", kind=kind)}).reach,
    )

    assert found.suffix == suffix


def test_every_error_of_the_library_is_one_of_ours():
    def all_below(kind: type[BaseException]) -> set[type[BaseException]]:
        return {kind}.union(*(all_below(below) for below in kind.__subclasses__()))

    known = tuple({*page.FAILURES, httpcore.TimeoutException})
    theirs = {kind for kind in vars(httpcore).values() if isinstance(kind, type) and issubclass(kind, Exception)}

    assert {kind.__name__ for kind in theirs if not issubclass(kind, known)} == set()


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.0.0.1:3128")
    web = Web({"https://a.example/": answer("x")})

    fetch("https://a.example/", LIMITS, reach=web.reach)

    assert web.connected == [(PUBLIC, 443)]


SITEMAP = '<?xml version="1.0"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'


def test_a_page_is_one_page_and_a_sitemap_is_all_of_its():
    listed = SITEMAP.format("".join(f"<url><loc>https://a.example/{name}</loc></url>" for name in ("1", "gone", "2", "no/x")))
    web = Web({
        "https://a.example/sitemap.xml": answer(listed, kind="application/xml"), "https://a.example/robots.txt": answer("User-agent: *\nDisallow: /no/", kind="text/plain"),
        "https://a.example/1": answer("one"), "https://a.example/2": answer("two"),
    })  # fmt: skip

    assert [found.raw for found in pages("https://a.example/1", LIMITS, reach=web.reach) if isinstance(found, Fetched)] == [
        b"one"
    ]
    left_out, one, gone, two = pages("https://a.example/sitemap.xml", LIMITS, reach=web.reach)

    assert left_out == LeftOut("https://a.example/no/x", "robots.txt")
    assert isinstance(gone, Failed)
    assert (gone.url, gone.refusal.reason, gone.is_page) == ("https://a.example/gone", "fetch_failed", True)
    assert [(found.url, found.listed) for found in (one, two) if isinstance(found, Fetched)] == [
        ("https://a.example/1", True), ("https://a.example/2", True),
    ]  # fmt: skip


def test_what_can_not_be_had_at_all_might_have_been_a_sitemap():
    (failed,) = pages("https://a.example/", LIMITS, reach=Web().reach)

    assert isinstance(failed, Failed)
    assert not failed.is_page


def test_pages_are_fetched_one_at_a_time():
    listed = SITEMAP.format("".join(f"<url><loc>/{n}</loc></url>" for n in range(9)))
    web = Web({"https://a.example/s.xml": answer(listed), **{f"https://a.example/{n}": answer("x") for n in range(9)}})

    next(iter(pages("https://a.example/s.xml", LIMITS, reach=web.reach)))

    assert len(web.requests) == 3  # the sitemap, robots.txt, the first page


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://localhost:1/")
            self.end_headers()
            return
        body = f"host {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def loopback(_: str, __: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_private_network_is_read_only_when_it_is_named():
    with serving() as port:
        url, ports = f"http://wiki.example:{port}/", frozenset({port})
        with pytest.raises(DocumentRefused, match="not public"):
            fetch(url, Limits(ports=ports), reach=Reach(loopback))

        found = fetch(url, Limits(ports=ports, networks=LOOPBACK), reach=Reach(loopback))

        with pytest.raises(DocumentRefused, match="Port 1 "):
            fetch(f"{url}away", Limits(ports=ports, networks=LOOPBACK), reach=Reach(loopback))

    assert found.raw.decode() == f"host wiki.example:{port}"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_must_be_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=wiki.example",
         "-addext", "subjectAltName=DNS:wiki.example", "-keyout", "key.pem", "-out", "cert.pem"],
        check=True, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(context) as port:
        limits = Limits(seconds=20, ports=frozenset({port}), networks=LOOPBACK)
        with pytest.raises(DocumentRefused, match="certificate"):  # nobody vouches for it
            fetch(f"https://wiki.example:{port}/", limits, reach=Reach(loopback))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        page._trust.cache_clear()
        try:
            assert fetch(f"https://wiki.example:{port}/", limits, reach=Reach(loopback)).raw.startswith(b"host wiki.example")
            with pytest.raises(DocumentRefused, match="certificate"):  # another name at the same address
                fetch(f"https://other.example:{port}/", limits, reach=Reach(loopback))
        finally:
            page._trust.cache_clear()
