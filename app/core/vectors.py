"""Vectors by the hash of the text that was embedded, so that no text is embedded twice: not after a crash, a move or a change undone.

A SQLite file beside the exported model. Rebuildable and safe to delete; erasing a document drops its vectors from it.
"""

import errno
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from app.core.embed import EmbedderIdentity
from app.core.types import Vectors

_MOST_ROWS = 2_000_000
"""About 3.5 GB at 384 dimensions; past it the oldest go."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS uses (document_id TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (document_id, key)) WITHOUT ROWID;
"""


class VectorCache:
    """One embedder's vectors. Used by one thread at a time; several processes may share the file.

    What is asked of it raises OSError, with the file's name, where the disk is full or the file can't be read or written.
    """

    def __init__(self, folder: Path, identity: EmbedderIdentity) -> None:
        """Open the file, or make it."""
        named = hashlib.sha256(json.dumps(identity.as_json(), sort_keys=True).encode())
        self._salt = named.digest()
        self._dim = identity.dim
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"vectors-{named.hexdigest()[:16]}.db"
        with _named(self._path):
            self._db = _open(self._path)
            self._db.executescript(_SCHEMA)

    def key(self, text: str) -> bytes:
        """Return what a text's vector is kept under."""
        return hashlib.sha256(self._salt + text.encode()).digest()

    def get(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Return the rows, of shape (dim,), that are there."""
        found: dict[str, Vectors] = {}
        with _named(self._path):
            for text in texts:
                hit = self._db.execute("SELECT vector FROM vectors WHERE key = ?", (self.key(text),)).fetchone()
                row: Vectors = np.frombuffer(hit[0] if hit else b"", dtype=np.float32)
                if row.shape == (self._dim,) and abs(float(row @ row) - 1) < 1e-3:  # a damaged file must not damage an index
                    found[text] = row
        return found

    def put(self, rows: Mapping[str, Vectors], uses: Mapping[str, Sequence[str]]) -> None:
        """Keep vectors.

        Args:
            rows: Text -> its unit row.
            uses: Document id -> the texts of its chunks, so that an erasure finds them.
        """
        with _named(self._path), self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                ((self.key(text), row.astype(np.float32).tobytes()) for text, row in rows.items()),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO uses VALUES (?, ?)",
                ((document, self.key(text)) for document, texts in uses.items() for text in texts),
            )

    def trim(self) -> None:
        """Drop the oldest past the limit."""
        with _named(self._path), self._db:
            (last,) = self._db.execute("SELECT COALESCE(MAX(rowid), 0) FROM vectors").fetchone()
            if self._db.execute("DELETE FROM vectors WHERE rowid <= ?", (last - _MOST_ROWS,)).rowcount > 0:
                self._db.execute("DELETE FROM uses WHERE key NOT IN (SELECT key FROM vectors)")

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def forget(folder: Path, document_id: str) -> int:
    """Drop every vector that was made for a document, by whatever embedder; return how many there were."""
    dropped = 0
    for path in sorted(folder.glob("vectors-*.db")):
        with _named(path), closing(_open(path)) as db, db:
            dropped += db.execute(
                "DELETE FROM vectors WHERE key IN (SELECT key FROM uses WHERE document_id = ?)", (document_id,)
            ).rowcount
            db.execute("DELETE FROM uses WHERE document_id = ?", (document_id,))
    return dropped


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of SQLite's errors what those of a file say: its kind and its name."""
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(path)) from error


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=60, check_same_thread=False)  # an ingest embeds in a thread beside its reading
    try:
        # A lost tail costs embedding it again, so nothing is flushed; secure_delete overwrites what an erasure drops.
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "secure_delete=ON"):
            db.execute("PRAGMA " + pragma)
    except sqlite3.OperationalError:  # a full disk, another process: no fault of the file
        db.close()
        raise
    except sqlite3.DatabaseError:
        db.close()
        path.unlink()  # no database at all, or a torn one: it is only a cache
        return _open(path)
    return db
