from pathlib import Path

import pytest

from app.core.errors import Misconfigured
from ingest.globs import Glob
from ingest.place import Place, place


def test_a_path_is_a_path(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("x")

    assert place("docs") == Place("local", "docs")  # the tests stand in tmp_path
    assert place("docs/a.md") == Place("local", "docs/a.md")
    assert place(f"{tmp_path}/docs/") == Place("local", f"{tmp_path}/docs/")


def test_a_wildcard_begins_at_its_folder(tmp_path: Path):
    (tmp_path / "docs").mkdir()

    assert place("docs/**/*.md") == Place("local", "docs", Glob("**/*.md"))
    assert place("*.md") == Place("local", ".", Glob("*.md"))


def test_what_exists_is_meant_as_it_stands(tmp_path: Path):
    for name in ("v[1]", "https:", "s3:"):
        (tmp_path / name).mkdir()

    assert place("v[1]") == Place("local", "v[1]")
    assert place("v[1]/**/*.md") == Place("local", "v[1]", Glob("**/*.md"))
    assert place("v?1?") == Place("local", ".", Glob("v?1?"))
    assert place("s3:") == Place("local", "s3:")


@pytest.mark.parametrize("url", ["https://a.example/x?y=*", "HTTP://a.example", "http://[::1]/"])
def test_web_addresses_have_no_wildcards(url: str):
    assert place(url) == Place("web", url)


def test_remote_urls_may_have_some():
    assert place("s3://bucket/docs") == Place("remote", "s3://bucket/docs")
    assert place("s3://bucket/docs/**") == Place("remote", "s3://bucket/docs", Glob("**/*"))


@pytest.mark.parametrize("url", ["s3://*/docs", "s3://b?", "memory://*.md"])
def test_a_wildcard_is_no_bucket(url: str):
    with pytest.raises(Misconfigured, match="bucket"):
        place(url)


def test_a_url_of_a_file_here_is_its_path(tmp_path: Path):
    (tmp_path / "a b.md").write_text("x")

    assert place(f"file://{tmp_path}/a%20b.md") == Place("local", f"{tmp_path}/a b.md")
    assert place(f"file://localhost{tmp_path}/*.md") == Place("local", str(tmp_path), Glob("*.md"))
    with pytest.raises(Misconfigured, match="another machine"):
        place("file://server/share/a.md")


@pytest.mark.parametrize("text", ["nothing.md", "nothing/*.md", "", "C:\\docs", "a:b", "x" * 5000, "a\x00b"])
def test_what_is_not_there_is_said_to_be_not_there(text: str):
    with pytest.raises(Misconfigured, match="no file or folder"):
        place(text)
