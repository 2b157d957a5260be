"""A folder on disk -> its files, sorted by name in each folder; links out of it are not followed."""

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
    open_folders = [iter([root])]
    while open_folders:
        path = next(open_folders[-1], None)
        if path is None:
            open_folders.pop()
            continue
        if path != root:
            kind = _kind(root, path, rule)
            if kind != "folder":
                yield file(root, path) if kind == "file" else kind
                continue
        try:
            open_folders.append(iter(sorted(path.iterdir(), key=lambda path: path.name)))
        except OSError as error:
            yield Unreadable(_below(root, path), f"The folder can't be read: {error.strerror}.")


def file(root: Path, path: Path) -> File:
    """Return one file; that it can't be read is found out when it is opened."""
    try:
        size = path.stat().st_size
    except OSError:
        size = None
    return File(path.relative_to(root).as_posix(), size, lambda: _open(path))


def _open(path: Path) -> IO[bytes]:
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for, a device never ends
        raise DocumentRefused("unreadable", "It is no regular file. Save it as one.")
    return path.open("rb")


def _kind(root: Path, path: Path, rule: Rule) -> Literal["file", "folder"] | LeftOut | Unreadable:
    """Tell whether to read a path, to go into it, or why neither."""
    below = _below(root, path)
    if left_out := rule(below, path.is_dir()):
        return LeftOut(below, left_out)
    if below != path.relative_to(root).as_posix():
        return Unreadable(below, "Its name is not UTF-8, so no uri can name it. Rename it.")
    try:
        if path.is_symlink():
            if not path.resolve().is_relative_to(root):
                return LeftOut(below, "a link that leads outside the folder")
            if path.is_dir():
                return LeftOut(below, "a link to a folder that is read by its own name")
            return "file"
        mode = path.lstat().st_mode
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself, before Python 3.13
        return "file"  # reading it will fail too, and refuse it with its uri
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else LeftOut(below, "neither a file nor a folder")


def _below(root: Path, path: Path) -> str:
    return printable(path.relative_to(root).as_posix())
