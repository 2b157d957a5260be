"""Objects below a URL of object storage, or of any file system that fsspec knows: listed, put, fetched whole, removed.

An object is there whole or not at all: a store's own put does that, and on a disk we write aside and rename. fsspec and the
packages of its file systems are optional: imported when a URL is given, not before. Credentials are the file system's own
business: its environment variables and configuration files.
"""

import hashlib
import importlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.core.errors import CitewellError, IndexUnusable, Misconfigured, StorageUnavailable
from app.core.snapshot.layout import fsync_folder, write_together

_TOGETHER = 200
"""Small objects that are put or fetched at once: file systems work on a part of them at the same time."""
_READ_ONLY = frozenset({"http", "https", "github", "zip", "tar", "git", "data"})


class Store:
    """One place of objects, named by keys such as ``docs/CURRENT``."""

    def __init__(self, url: str) -> None:
        """Find the file system of a URL; nothing is asked of it yet.

        Raises:
            Misconfigured: The URL is none that can be written, holds a password, or a package is missing.
        """
        scheme = urlsplit(url).scheme
        if not scheme or scheme in _READ_ONLY or "::" in url:
            raise Misconfigured("CITEWELL_INDEXES_URL must be a URL of storage that can be written, such as s3://bucket/indexes.")
        if urlsplit(url).password is not None:
            raise Misconfigured(
                "CITEWELL_INDEXES_URL holds a password. Give it to the file system in its own way: environment variables, or "
                "fsspec's configuration."
            )
        self.url = url.rstrip("/")
        try:
            core: Any = importlib.import_module("fsspec.core")
            self._fs, self._root = core.url_to_fs(self.url)
        except ImportError as error:
            extra = "s3" if scheme in ("s3", "s3a") else "remote"
            raise Misconfigured(
                f"CITEWELL_INDEXES_URL needs packages of its own: `pip install 'citewell[{extra}]'` ({error})."
            ) from None
        except ValueError as error:
            raise Misconfigured(f"CITEWELL_INDEXES_URL can't be used: {error}.") from None
        self._on_disk = "file" in ((kind,) if isinstance(kind := self._fs.protocol, str) else kind)

    def folders(self) -> list[str]:
        """Return the names of what lies directly below the URL, sorted; empty when there is nothing."""
        with self._asking("listed"):
            self._fs.invalidate_cache()
            try:
                entries = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted({str(entry).rstrip("/").rpartition("/")[2] for entry in entries})

    def sizes(self, below: str) -> dict[str, int]:
        """Return the size in bytes of every object below a folder, by key."""
        start = len(self._path("")) if self._root else 0
        with self._asking("listed"):
            self._fs.invalidate_cache()  # what was listed earlier in this process may be gone
            found = self._fs.find(self._path(below), detail=True)
        return {str(name)[start:]: int(info["size"]) for name, info in found.items()}

    def get(self, key: str) -> bytes | None:
        """Return an object; None when there is none."""
        with self._asking("read"):
            try:
                data = self._fs.cat_file(self._path(key))
            except FileNotFoundError:
                return None
        return bytes(data)

    def get_all(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield small objects, fetched many at once; one that is not there is left out."""
        for at in range(0, len(keys), _TOGETHER):
            paths = {self._path(key): key for key in keys[at : at + _TOGETHER]}
            with self._asking("read"):
                for path, found in self._fs.cat(list(paths), on_error="return").items():
                    if isinstance(found, FileNotFoundError):
                        continue
                    if isinstance(found, Exception):
                        raise found
                    yield paths[path], bytes(found)

    def fetch(self, key: str, target: Path, sha256: str) -> None:
        """Copy an object into a file, which is there only when it is whole.

        Raises:
            IndexUnusable: The object is missing, or its content is another than it was written with.
        """
        draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._asking("read"):
                try:
                    self._fs.get_file(self._path(key), str(draft))
                except FileNotFoundError:
                    raise self.damaged(f"{key} is missing") from None
            with draft.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise self.damaged(f"{key} does not match its hash")
                os.fsync(file.fileno())
            os.replace(draft, target)
            fsync_folder(target.parent)
        finally:
            draft.unlink(missing_ok=True)

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects; each is there whole, or as it was before."""
        items = [(self._path(key), data) for key, data in objects.items()]
        with self._asking("written"):
            if self._on_disk:
                write_together({Path(path): data for path, data in items})
                return
            for at in range(0, len(items), _TOGETHER):
                self._fs.pipe(dict(items[at : at + _TOGETHER]))

    def send(self, key: str, source: Path) -> None:
        """Write a file as an object, without holding it in memory."""
        with self._asking("written"):
            if not self._on_disk:
                self._fs.put_file(str(source), self._path(key))
                return
            target = Path(self._path(key))
            draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(source, draft)
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
                os.replace(draft, target)
                fsync_folder(target.parent)
            finally:
                draft.unlink(missing_ok=True)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects. Look again afterwards: a store may refuse some of many without an error (s3fs swallows them)."""
        if keys:
            with self._asking("removed"):
                self._fs.rm([self._path(key) for key in keys])

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def damaged(self, detail: str) -> IndexUnusable:
        """Return the error that says what is wrong with what lies here."""
        return IndexUnusable(
            f"What lies at {self.url} is damaged: {detail}. On a machine that holds the collection whole, "
            "`citewell index push --again` puts all of it there anew.",
            detail=detail,
        )

    @contextmanager
    def _asking(self, done: str) -> Iterator[None]:
        """Give the errors of any file system one shape; each has kinds of its own."""
        try:
            yield
        except CitewellError:
            raise
        except PermissionError as error:
            raise StorageUnavailable(
                f"{self.url} can't be {done}: these credentials may not ({_said(error)}). Check them, and the rights they have there.",
                detail=repr(error)[:500],
            ) from error
        except Exception as error:
            raise StorageUnavailable(f"{self.url} can't be {done}: {_said(error)}", detail=repr(error)[:500]) from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{': ' if text else ''}{text}".rstrip(".")
