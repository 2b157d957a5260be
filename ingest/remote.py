"""A URL of object storage, or of any file system that fsspec knows -> its files, in the order of a folder on disk.

fsspec and the packages of its file systems are optional: imported when such a URL is given, not before.
"""

import importlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.core.errors import DocumentRefused, Misconfigured
from ingest.files import File, Found, LeftOut, Rule, Unreadable

_ELSEWHERE = frozenset({"http", "https", "file", "local"})
"""Read by the modules that know their dangers: addresses inside a network, links out of a folder."""
_COLON_IN_HOST = frozenset({"github"})
"""``github://org:repo@branch/path`` is no password."""
_DEEPEST = 200
_LONGEST = 2_000
"""Characters of a path: a link that leads back to its own folder ends there."""


@dataclass(frozen=True, slots=True)
class Root:
    """Where to read, opened."""

    url: str
    """As given, without a slash at its end: what the index remembers of the source."""
    name: str
    """The last part of it, or the bucket: how URIs begin when no name is given."""
    fs: Any
    path: str
    lone: str | None = None
    """The file's name, when the URL names one; ``path`` is then its folder."""


def open_root(url: str) -> Root:
    """Find the file system of a URL, and see that something is there.

    Credentials are the file system's own business: its environment variables, its configuration files.

    Raises:
        Misconfigured: A package is missing, the URL is none that can be read, or there is nothing there.
    """
    scheme = urlsplit(url).scheme
    if scheme in _ELSEWHERE or "::" in url:
        raise Misconfigured(f"{scheme}:// is not read as remote storage, and neither are URLs chained with `::`.")
    if urlsplit(url).password is not None and scheme not in _COLON_IN_HOST:
        raise Misconfigured(
            "The URL holds a password, which the index would remember. Give it to the file system in its own way: environment "
            "variables, or fsspec's configuration."
        )
    try:
        core: Any = importlib.import_module("fsspec.core")
    except ImportError:
        raise Misconfigured(f"Reading {scheme}:// needs an extra: `pip install 'citewell[remote]'`.") from None
    url = url.rstrip("/") if urlsplit(url).path.strip("/") or urlsplit(url).netloc else url
    try:
        fs, path = core.url_to_fs(url)
        fs.invalidate_cache()  # what was listed earlier in this process may be gone
        path = path.rstrip("/")
        kind = fs.info(path)["type"]
    except ImportError as error:
        raise Misconfigured(f"Reading {scheme}:// needs a package of its own: {error}") from None
    except FileNotFoundError:
        raise Misconfigured(f"There is nothing at {url}.") from None
    except Exception as error:  # each file system has errors of its own kind
        raise Misconfigured(f"{url} can't be read: {_said(error)}") from error
    above, _, last = path.rpartition("/")
    if kind == "file":
        return Root(url, above.rpartition("/")[2] or scheme, fs, above, lone=last)
    return Root(url, last or urlsplit(url).netloc or scheme, fs, path)


def files(root: Root, rule: Rule) -> Iterator[Found]:
    """Yield every file below a root, depth first, sorted by name in each folder; one folder is listed at a time.

    Args:
        root: Where to read.
        rule: Asked of each file and folder; a folder that it leaves out is not listed.
    """
    if root.lone is not None:
        yield from _entry(root, root.fs.info(f"{root.path}/{root.lone}"), root.lone, rule)
        return
    open_folders = [_listed(root, "")]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif isinstance(found, Unreadable):
            yield found
        else:
            below, info = found
            if info.get("type") == "directory" and not info.get("islink"):
                if left_out := rule(below, True):
                    yield LeftOut(below, left_out)
                elif len(open_folders) >= _DEEPEST or len(below) > _LONGEST:
                    yield Unreadable(below[:_LONGEST], "The folder lies too deep: it may be a link that leads back to itself.")
                else:
                    open_folders.append(_listed(root, below))
            else:
                yield from _entry(root, info, below, rule)


def _listed(root: Root, folder: str) -> Iterator[tuple[str, dict[str, Any]] | Unreadable]:
    """List a folder when it is its turn."""
    whole = f"{root.path}/{folder}".rstrip("/")
    try:
        entries = root.fs.ls(whole, detail=True)
    except Exception as error:  # each file system has errors of its own kind
        yield Unreadable(folder, f"The folder can't be listed: {_said(error)}")
        return
    names: list[tuple[str, dict[str, Any]]] = []
    for info in entries:
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        # Object stores list a folder's own placeholder in it, and know names that are none anywhere else.
        if str(info["name"]).rstrip("/") != whole and name not in ("", ".", ".."):
            names.append((name, info))
    for name, info in sorted(names, key=lambda entry: (entry[0], entry[1].get("type") == "directory")):
        yield (f"{folder}/{name}" if folder else name), info


def _entry(root: Root, info: dict[str, Any], below: str, rule: Rule) -> Iterator[File | LeftOut]:
    if left_out := rule(below, False):
        yield LeftOut(below, left_out)
    elif info.get("type") != "file":
        yield LeftOut(below, "neither a file nor a folder")
    elif info.get("islink"):
        yield LeftOut(below, "a link")
    else:
        size = info.get("size")
        yield File(below, int(size) if size is not None else None, lambda: _open(root.fs, str(info["name"])))


def _open(fs: Any, path: str) -> io.BufferedReader:
    try:
        return io.BufferedReader(_Refusing(fs.open(path, "rb")))
    except Exception as error:  # each file system has errors of its own kind
        raise _unreadable(error) from error


class _Refusing(io.RawIOBase):
    """A remote file whose every error is a refusal of it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._file.read(len(buffer))
        except Exception as error:  # each file system has errors of its own kind
            raise _unreadable(error) from error
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _unreadable(error: Exception) -> DocumentRefused:
    return DocumentRefused("unreadable", f"The file can't be read: {_said(error)}", detail=repr(error)[:500])


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{': ' if text else ''}{text}".rstrip(".") + "."
