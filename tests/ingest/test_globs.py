import re
import time

import pytest
from fsspec.utils import glob_translate
from hypothesis import given
from hypothesis import strategies as st

from ingest.globs import Glob, split


@pytest.mark.parametrize(
    ("place", "root", "pattern"),
    [("docs/**/*.md", "docs", "**/*.md"), ("docs/*.md", "docs", "*.md"), ("*.md", ".", "*.md"), ("/a/b/c[12].md", "/a/b", "c[12].md"), ("/*.md", "/", "*.md"),
     ("docs/**", "docs", "**/*"), ("docs/**/", "docs", "**/*"), ("docs/v?/x.md", "docs", "v?/x.md"), ("s3://bucket/docs/*.md", "s3://bucket/docs", "*.md"), ("a//*//b", "a/", "*/b")],
)  # fmt: skip
def test_a_place_is_parted_at_its_first_wildcard(place: str, root: str, pattern: str):
    assert split(place) == (root, Glob(pattern))


def test_a_place_without_wildcards_is_not_parted():
    assert split("docs/a.md") is None


@pytest.mark.parametrize(
    ("pattern", "wanted", "not_wanted"),
    [
        ("*.md", ["a.md", ".md"], ["a.txt", "b/a.md", "a.MD"]),
        ("**/*.md", ["a.md", "b/a.md", "b/c/a.md"], ["a.txt", "a.md/b"]),
        ("v?/**/x.md", ["v1/x.md", "v2/a/b/x.md"], ["x.md", "v10/x.md", "v1/y.md"]),
        ("**/api/**/*.md", ["api/a.md", "x/api/y/a.md"], ["a.md", "x/a.md"]),
        ("[ab]/*", ["a/x", "b/y"], ["c/x", "a/x/y"]),
        ("[!a]*", ["b"], ["a"]),
    ],
)
def test_files_are_wanted_by_their_path(pattern: str, wanted: list[str], not_wanted: list[str]):
    glob = Glob(pattern)

    assert [path for path in wanted if not glob.wants(path)] == []
    assert [path for path in not_wanted if glob.wants(path)] == []


def test_folders_that_can_hold_nothing_wanted_are_not_entered():
    assert not Glob("*.md").enters("drafts")
    assert Glob("v?/*.md").enters("v1")
    assert not Glob("v?/*.md").enters("v1/old")
    assert Glob("**/*.md").enters("any/depth/at/all")


names = st.text(st.sampled_from("ab."), min_size=1, max_size=3)
pieces = st.sampled_from(["**", "*", "a", "b", "*.a", "?", "a*", "[ab]"])


@given(st.lists(pieces, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_it_means_what_the_standard_means(pieces: list[str], path: list[str]):
    pattern, below = "/".join([*pieces, "*"] if pieces[-1] == "**" else pieces), "/".join(path)
    standard = re.compile(glob_translate(pattern))  # a copy of Python 3.13's glob.translate

    assert Glob(pattern).wants(below) == bool(standard.fullmatch(below))
    if Glob(pattern).wants(below):
        assert all(Glob(pattern).enters("/".join(path[:depth])) for depth in range(1, len(path)))


def test_no_pattern_takes_for_ever():
    started = time.monotonic()

    assert not Glob("/".join(["**", "a"] * 50) + "/b").wants("/".join("a" * 500))
    assert time.monotonic() - started < 2
