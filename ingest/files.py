"""What a folder holds, wherever it lies: on this machine or in remote storage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

Rule = Callable[[str, bool], str | None]
"""Path below the root, whether it is a folder -> the rule that leaves it out, or None."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that may be read."""

    below: str
    """Its path below the root."""
    size: int | None
    """Bytes, as listed; None where that is not said."""
    open: Callable[[], IO[bytes]]
    """Raises ``OSError``, or ``DocumentRefused`` (``unreadable``)."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that a rule keeps out."""

    below: str
    rule: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A folder that can't be listed, or a name that can't be told: which documents it holds is not known."""

    below: str
    message: str


Found = File | LeftOut | Unreadable


def printable(name: str) -> str:
    """Return a name fit for a report or a uri: a disk's bytes that are no UTF-8 arrive as lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
