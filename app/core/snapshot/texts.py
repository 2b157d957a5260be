"""Normalised texts by revision: stored once, under their hash; chunks and quotes are ranges of them."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from app.core.errors import IndexUnusable, NotFound
from app.core.snapshot.layout import folder_of, write_together
from app.core.types import revision_of

_CACHED_CHARS = 20_000_000


class Texts:
    """Texts of one collection, the recently read ones in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._chars = 0
        self._lock = Lock()

    def read(self, revision: str) -> str:
        """Return the text of a revision.

        Raises:
            NotFound: There is no such revision here.
            IndexUnusable: The file's content is not what its name says.
        """
        with self._lock:
            if revision in self._kept:
                self._kept.move_to_end(revision)
                return self._kept[revision]
        if not re.fullmatch(r"[0-9a-f]{64}", revision):
            raise NotFound("There is no such revision.")
        try:
            text = (self._folder / revision).read_bytes().decode()
        except FileNotFoundError:
            raise NotFound("There is no such revision.") from None
        except UnicodeDecodeError:
            text = ""
        if revision_of(text) != revision:
            raise IndexUnusable(
                "The stored text of a document is damaged. Ingest the documents again with `citewell ingest`.",
                detail=f"texts/{revision}",
            )
        with self._lock:
            self._kept[revision] = text
            self._chars += len(text)
            while self._chars > _CACHED_CHARS and len(self._kept) > 1:
                self._chars -= len(self._kept.popitem(last=False)[1])
        return text


def write_texts(root: Path, collection: str, texts: Mapping[str, str]) -> None:
    """Store texts under their revisions, durably; what is there and whole stays as it is."""
    folder = folder_of(root, collection) / "texts"
    new = {folder / revision: text.encode() for revision, text in texts.items()}
    write_together({target: data for target, data in new.items() if _read(target) != data})


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
