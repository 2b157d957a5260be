"""A folder on disk -> its files, sorted by name in each folder; links out of it are not followed."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from app.core.errors import DocumentRefused
from ingest.files import File, Found, LeftOut, Rule, Unreadable, printable


def files(root: Path, rule: Rule) -> Iterator[Found]:
    """Go through all folders, depth first, without recursion: a disk may nest deeper than Python's stack.

    Args:
        root: A folder, resolved.
        rule: Asked of each file and folder; a folder that it leaves out is not listed.
    """
    open_folders = [_listed(root, "")]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
        elif isinstance(found, Unreadable):
            yield found
        else:
            entry, below = found
            match _kind(root, entry, below, rule):
                case "folder":
                    open_folders.append(_listed(entry.path, below))
                case "file":
                    yield _file(entry, below)
                case left_out:
                    yield left_out


def file(root: Path, path: Path) -> File:
    """Return one file; that it can't be read is found out when it is opened."""
    return _file(path, path.relative_to(root).as_posix())


def _listed(folder: str | Path, below: str) -> Iterator[tuple["os.DirEntry[str]", str] | Unreadable]:
    # An entry knows what it is without being looked at again: of a large folder that is half of the time.
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Unreadable(printable(below) or ".", f"The folder can't be read: {error.strerror}.")
        return
    for entry in listed:
        yield entry, f"{below}/{entry.name}" if below else entry.name


def _file(entry: "os.DirEntry[str] | Path", below: str) -> File:
    path = os.fspath(entry)
    try:
        size = entry.stat().st_size
    except OSError:
        size = None
    return File(below, size, lambda: _open(path))


def _open(path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for, a device never ends
        raise DocumentRefused("unreadable", "It is no regular file. Save it as one.")
    return open(path, "rb")


def _kind(root: Path, entry: "os.DirEntry[str]", below: str, rule: Rule) -> Literal["file", "folder"] | LeftOut | Unreadable:
    """Tell whether to read a path, to go into it, or why neither."""
    shown = printable(below)
    try:
        if left_out := rule(shown, entry.is_dir()):
            return LeftOut(shown, left_out)
        if shown != below:
            return Unreadable(shown, "Its name is not UTF-8, so no uri can name it. Rename it.")
        if entry.is_symlink():
            if not Path(entry.path).resolve().is_relative_to(root):
                return LeftOut(shown, "a link that leads outside the folder")
            if entry.is_dir():
                return LeftOut(shown, "a link to a folder that is read by its own name")
            return "file"
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself, before Python 3.13
        return "file"  # reading it will fail too, and refuse it with its uri
    if entry.is_dir():
        return "folder"
    return "file" if entry.is_file() else LeftOut(shown, "neither a file nor a folder")
