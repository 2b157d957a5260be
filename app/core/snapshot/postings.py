"""The lexical side of a segment: for each word, the chunks that hold it and how often. Memory-mapped, so opening costs nothing.

Only counts are stored. What a word is worth depends on all chunks that can be found, so it is worked out when a question is
asked: segments with statistics of their own lost up to .2 nDCG (docs/decisions/0013-retrieval.md).
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FILES = ("words.npy", "starts.npy", "rows.npy", "counts.npy", "lengths.npy")
_MOST = 255
"""A count is one byte: a word that stands 255 times in a chunk is worth no more when it stands 256 times."""

Ints = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Postings:
    """Parallel arrays; ``rows[starts[i]:starts[i + 1]]`` are the chunks that hold ``words[i]``, ascending."""

    words: Ints
    """64 bits of each word's hash, ascending: a search of five million words meets a collision once in a million snapshots."""
    starts: Ints
    rows: Ints
    counts: Ints
    lengths: Ints
    """Words of each chunk."""

    def find(self, word: str) -> tuple[Ints, Ints]:
        """Return the rows of the chunks that hold a word, and how often each does."""
        key = np.uint64(hash_of(word))
        at = int(np.searchsorted(self.words, key))
        if at == len(self.words) or self.words[at] != key:
            return self.rows[:0], self.counts[:0]
        span = slice(int(self.starts[at]), int(self.starts[at + 1]))
        return self.rows[span], self.counts[span]


@lru_cache(maxsize=200_000)
def hash_of(word: str) -> int:
    """Return the 64 bits that stand for a word."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


class Collecting:
    """Gathers the words of a segment's chunks, in the order of its rows."""

    def __init__(self) -> None:
        self._words, self._rows, self._counts = array("Q"), array("i"), array("B")
        self._lengths = array("i")

    def add(self, words: Iterable[str]) -> None:
        """Take the next chunk's words."""
        row, length = len(self._lengths), 0
        for word, count in Counter(words).items():
            self._words.append(hash_of(word))
            self._rows.append(row)
            self._counts.append(min(count, _MOST))
            length += count
        self._lengths.append(length)

    def finish(self) -> dict[str, Ints]:
        """Return the files' content, by name."""
        words, rows, counts = _arrays(self._words, np.uint64), _arrays(self._rows, np.int32), _arrays(self._counts, np.uint8)
        return inverted(words, rows, counts, _arrays(self._lengths, np.int32))


def inverted(words: Ints, rows: Ints, counts: Ints, lengths: Ints) -> dict[str, Ints]:
    """Sort postings by word; rows stay ascending within one."""
    order = np.argsort(words, kind="stable")
    distinct, starts = np.unique(words[order], return_index=True)
    return {
        "words.npy": distinct,
        "starts.npy": np.append(starts, len(words)).astype(np.int64),
        "rows.npy": rows[order],
        "counts.npy": counts[order],
        "lengths.npy": lengths,
    }


def merged(parts: Iterable[tuple[Postings, Ints]]) -> dict[str, Ints]:
    """Join the postings of segments.

    Args:
        parts: Postings, with the new row of each of their chunks (-1: it is left out); new rows ascend.
    """
    words, rows, counts, lengths = [], [], [], []
    for postings, moved in parts:
        target = moved[postings.rows]
        kept = target >= 0
        words.append(np.repeat(postings.words, np.diff(postings.starts))[kept])
        rows.append(target[kept].astype(np.int32))
        counts.append(postings.counts[kept])
        lengths.append(postings.lengths[moved >= 0])
    return inverted(np.concatenate(words), np.concatenate(rows), np.concatenate(counts), np.concatenate(lengths))


def load(folder: Path) -> Postings:
    """Open a segment's postings."""
    arrays: Mapping[str, Ints] = {name: np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in FILES}
    return Postings(*(arrays[name] for name in FILES))


def _arrays(values: "array[int]", kind: Any) -> Ints:
    return np.frombuffer(values, dtype=kind) if len(values) else np.zeros(0, kind)
