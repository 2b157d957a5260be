"""The document path from the web, from remote storage and from globs; what is refused can be tried again by each road."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fsspec.implementations.memory import MemoryFileSystem

from app.cli import cli
from app.core import snapshot
from app.core.config import Settings
from app.core.errors import Misconfigured
from ingest.build import build
from ingest.report import Report
from tests.ingest.fake_web import Web, answer

SITE = "https://a.example"
MAP = f"{SITE}/sitemap.xml"


def uris(settings: Settings) -> set[str]:
    return {document.uri for document in snapshot.open_current(settings.indexes_dir, "docs").documents()}


def refused(report: Report) -> list[tuple[str, str]]:
    return [(one.source, one.code) for one in report.refused]


def page(text: str) -> bytes:
    return answer(f"<html><title>{text}</title><body><p>Some {text}.</p></body></html>")


def sitemap_of(*pages: str) -> bytes:
    return answer(f"<urlset>{''.join(f'<url><loc>{page}</loc></url>' for page in pages)}</urlset>")


@pytest.fixture
def citewell(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CITEWELL_HOME", str(settings.home))
    monkeypatch.setenv("CITEWELL_INDEXES_DIR", str(settings.indexes_dir))

    def run(*args: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(arg) for arg in args])

    return run


def quarantined(citewell, *more: str) -> list[tuple[str, str]]:
    done = citewell("docs", "quarantine", "--json", *more)
    assert done.exit_code == 0, done.output
    return [(row["place"], row["code"]) for row in json.loads(done.stdout)["refused"]]


def test_a_site_becomes_documents_and_what_it_lists_no_more_goes_with_sync(web: Web, settings: Settings):
    web.pages |= {f"{SITE}/{name}": page(name) for name in "123"} | {MAP: sitemap_of("/1", "/2", "/3")}
    first = build(MAP, collection="docs", settings=settings)
    web.pages[MAP] = sitemap_of("/1", "/2")
    del web.pages[f"{SITE}/2"]

    kept = build(MAP, collection="docs", settings=settings)
    synced = build(MAP, collection="docs", settings=settings, sync=True)

    assert (first.added, kept.deleted, synced.deleted) == (3, 0, 1)
    assert refused(synced) == [(f"{SITE}/2", "fetch_failed")]
    assert uris(settings) == {f"{SITE}/1", f"{SITE}/2"}  # still listed, only not there today


def test_several_sitemaps_of_a_site_are_one_source(web: Web, settings: Settings):
    maps = [f"{SITE}/a.xml", f"{SITE}/b.xml"]
    web.pages |= {f"{SITE}/{name}": page(name) for name in "1234"}
    web.pages |= {maps[0]: sitemap_of("/1", "/2"), maps[1]: sitemap_of("/3", "/4")}
    build(*maps, collection="docs", settings=settings)
    web.pages[maps[1]] = sitemap_of("/3")

    report = build(*maps, collection="docs", settings=settings, sync=True)

    assert (report.unchanged, report.deleted) == (3, 1)
    assert uris(settings) == {f"{SITE}/{name}" for name in "123"}


@pytest.mark.parametrize("lost", [page("no sitemap"), sitemap_of()])
def test_sync_needs_a_sitemap(web: Web, settings: Settings, lost: bytes):
    web.pages |= {f"{SITE}/1": page("one"), MAP: sitemap_of("/1")}
    build(MAP, collection="docs", settings=settings)
    web.pages[MAP] = lost

    with pytest.raises(Misconfigured, match="needs a sitemap"):
        build(MAP, collection="docs", settings=settings, sync=True)

    assert uris(settings) == {f"{SITE}/1"}


@pytest.mark.parametrize("lost", [answer(status=503), sitemap_of("/2")])
def test_sync_drops_nothing_of_a_site_that_can_not_be_read_today(web: Web, settings: Settings, lost: bytes):
    web.pages |= {f"{SITE}/1": page("one"), MAP: sitemap_of("/1")}
    build(MAP, collection="docs", settings=settings)
    web.pages[MAP] = lost  # it is busy itself, or lists only a page that is not there

    report = build(MAP, collection="docs", settings=settings, sync=True)

    assert (report.sync_held, report.deleted, len(report.refused)) == (True, 0, 1)

    assert uris(settings) == {f"{SITE}/1"}


def test_remote_storage_becomes_documents(bucket: MemoryFileSystem, settings: Settings):
    for name in ("a.md", "sub/b.md", "c.txt"):
        bucket.pipe(f"/bucket/docs/{name}", f"Text of {name}.".encode())

    first = build("memory://bucket/docs/**/*.md", collection="docs", settings=settings)
    second = build("memory://bucket/docs", collection="docs", settings=settings)
    bucket.rm("/bucket/docs/a.md")
    third = build("memory://bucket/docs", collection="docs", settings=settings, sync=True)

    assert (first.added, second.added, second.unchanged, third.deleted) == (2, 1, 2, 1)
    assert uris(settings) == {"docs/sub/b.md", "docs/c.txt"}


def test_sources_that_overlap_index_nothing_twice(tmp_path: Path, settings: Settings):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/a.md").write_text("Alpha.")

    report = build(tmp_path / "w", tmp_path / "w/a.md", collection="docs", settings=settings)

    assert (report.added, report.chunks, refused(report)) == (1, 1, [("a.md", "duplicate")])


def test_nothing_is_read_when_one_of_the_places_is_not_there(tmp_path: Path, web: Web, settings: Settings):
    with pytest.raises(Misconfigured, match="no file or folder"):
        build(MAP, tmp_path / "none", collection="docs", settings=settings)

    assert web.looked_up == []


def test_a_document_over_the_limits_is_refused_and_stops_nothing(tmp_path: Path, settings: Settings):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/a.md").write_text("Alpha.")
    (tmp_path / "w/b.md").write_text("- item\n" * 300_000)
    tight = settings.model_copy(update={"ingest": settings.ingest.model_copy(update={"parse_seconds": 1.0})})

    report = build(tmp_path / "w", collection="docs", settings=tight)

    assert (report.added, refused(report)) == (1, [("b.md", "parser_timeout")])


def test_what_a_folder_refused_is_tried_again(tmp_path: Path, citewell):
    (tmp_path / "w").mkdir()
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / "w" / name).write_bytes(b"\x00\x01\x02" * 100)
    citewell("ingest", "w/a.md")  # a lone file, and a glob: what the others refused is not theirs to forget
    citewell("ingest", "w/b*")
    citewell("ingest", tmp_path / "w/c.md")
    before = quarantined(citewell)
    (tmp_path / "w/a.md").write_text("Alpha.")
    (tmp_path / "w/b.md").write_text("Beta.")
    (tmp_path / "w/c.md").unlink()

    after = quarantined(citewell, "--retry")
    citewell("ingest", "w")

    assert before == [(name, "binary") for name in ("a.md", "b.md", "c.md")]
    assert after == [("c.md", "binary")]
    assert quarantined(citewell) == []  # the whole folder was read, and it is not there


def test_a_folder_that_could_not_be_listed_is_read_when_it_can_be(tmp_path: Path, citewell, settings: Settings, monkeypatch):
    (tmp_path / "w/sub").mkdir(parents=True)
    (tmp_path / "w/sub/a.md").write_text("Alpha.")
    listed = os.scandir

    def closed(folder: str | Path):
        if Path(folder).name == "sub":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "scandir", closed)
    citewell("ingest", "w")
    before = quarantined(citewell)
    monkeypatch.setattr(os, "scandir", listed)

    assert (before, quarantined(citewell, "--retry"), uris(settings)) == ([("sub", "unreadable")], [], {"w/sub/a.md"})


def test_what_remote_storage_refused_is_tried_again(bucket: MemoryFileSystem, citewell, settings: Settings):
    bucket.pipe("/bucket/docs/a.md", b"\x00\x01\x02" * 100)
    citewell("ingest", "memory://bucket/docs")
    before = quarantined(citewell)
    bucket.pipe("/bucket/docs/a.md", b"Alpha.")

    assert (before, quarantined(citewell, "--retry"), uris(settings)) == ([("a.md", "binary")], [], {"docs/a.md"})


def test_what_the_web_refused_is_tried_again_page_by_page_or_whole(web: Web, citewell, settings: Settings):
    web.pages |= {f"{SITE}/1": page("one"), f"{SITE}/2": answer(status=503), MAP: answer(status=503)}
    citewell("ingest", f"{SITE}/2")
    citewell("ingest", MAP)
    before = quarantined(citewell)
    web.pages[MAP] = sitemap_of("/1", "/3")

    after = quarantined(citewell, "--retry")

    assert before == [(f"{SITE}/2", "fetch_failed"), (MAP, "fetch_failed")]
    assert after == [(f"{SITE}/2", "fetch_failed"), (f"{SITE}/3", "fetch_failed")]
    assert uris(settings) == {f"{SITE}/1"}


def test_errors_are_one_line_and_wrong_paths_are_wrong_usage(citewell, tmp_path: Path, web: Web):
    (tmp_path / "a.md").write_text("x")
    for args, code, says in [
        (["nothing.md"], 2, "no file or folder nothing.md"),
        (["nothing/*.md"], 2, "no file or folder nothing"),
        (["*.md", "--sync"], 1, "--exclude"),
        (["a.md", f"{SITE}/x", "--source", "s"], 2, "--source"),
        (["http://:secret@a.example/"], 1, "password"),
        (["memory://nothing"], 1, "nothing at memory://nothing"),
        (["a.md", "--sync", "--refused"], 2, "--refused"),
    ]:
        done = citewell("ingest", *args)

        assert (done.exit_code, says in done.stderr) == (code, True), done.stderr
        assert "secret" not in done.stderr
    assert web.looked_up == []


def test_an_address_that_is_not_public_is_refused_and_not_connected_to(web: Web, citewell):
    literal = {address: [[address]] for address in ("127.0.0.1", "::1", "169.254.169.254")}
    web.names = {"intern.example": [["10.0.0.7"]], "a.example": [["93.184.216.34", "127.0.0.1"]], **literal}

    for url in ("http://intern.example/", f"{SITE}/", "http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest"):
        done = citewell("ingest", url)

        assert done.exit_code == 1
        assert "fetch_refused" in done.stdout
    assert web.connected == []


def test_private_networks_are_read_where_a_setting_names_them(web: Web, citewell, settings: Settings, monkeypatch):
    monkeypatch.setenv("CITEWELL_INGEST__FETCH_NETWORKS", "10.0.0.0/8, fd00::/8")
    monkeypatch.setenv("CITEWELL_INGEST__FETCH_PORTS", "8080")
    web.names = {"intern.example": [["10.0.0.7"]]}
    web.pages = {"http://intern.example:8080/": page("wiki")}

    assert citewell("ingest", "http://intern.example:8080/").exit_code == 0
    assert uris(settings) == {"http://intern.example:8080/"}
    assert "Port 80 is not read" in citewell("ingest", "http://intern.example/").stdout


def test_the_same_place_is_the_same_source_from_any_folder(tmp_path: Path, citewell):
    (tmp_path / "w").mkdir()
    (tmp_path / "w/a.md").write_text("Alpha.")
    citewell("ingest", "w")
    os.chdir(tmp_path / "w")  # put back by the fixture that stands in tmp_path

    done = citewell("ingest", ".", "--json")

    assert json.loads(done.stdout)["documents"]["unchanged"] == 1
