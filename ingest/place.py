"""What a person names as a source -> which kind it is, and where it begins."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from app.core.errors import Misconfigured
from ingest import globs
from ingest.globs import Glob

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
"""Of two letters at least: ``C:`` is a drive."""


@dataclass(frozen=True, slots=True)
class Place:
    """A source, before anything of it is opened."""

    kind: Literal["local", "web", "remote"]
    root: str
    """A file or folder, the address of a page or sitemap, or the URL of a file or folder in remote storage."""
    glob: Glob | None = None
    """Which files below the folder are meant; None for all."""


def place(text: str) -> Place:
    """Tell what a path or URL is. A path, or a beginning of it, that exists is meant as it stands, also when it holds wildcards.

    Raises:
        Misconfigured: There is no such file or folder, or it can't be meant so.
    """
    scheme = match[1].lower() if (match := _URL.match(text)) else ""
    if _exists(text):
        return Place("local", text)
    if scheme in ("http", "https"):
        return Place("web", text)
    if scheme in ("file", "local"):
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise Misconfigured(f"{text} names another machine. A file of this one is file:///path, or just its path.")
        return place(url2pathname(parts.path))
    if scheme and text[len(scheme) :].startswith("://"):
        parted = globs.split(text)
        if parted and not parted[0].partition("://")[2]:
            raise Misconfigured(f"{text}: a wildcard can't stand for a bucket. Name it.")
        return Place("remote", *(parted or (text,)))
    parted = globs.split(text, stands=_exists)
    if parted and _exists(parted[0]):
        return Place("local", *parted)
    raise Misconfigured(f"There is no file or folder {parted[0] if parted else text}.")


def _exists(text: str) -> bool:
    try:
        return text != "" and Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or a zero in it: no path, whatever else it is
        return False
