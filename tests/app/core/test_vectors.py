"""The vectors' cache when its file is no database, or can't be opened for now."""

from pathlib import Path

import numpy as np
import pytest

from app.core.embed import find_embedder
from app.core.vectors import VectorCache

IDENTITY = find_embedder("minilm").identity
ROW = np.eye(1, IDENTITY.dim, dtype=np.float32)[0]


def kept(folder: Path) -> Path:
    """Keep one vector; return the file."""
    cache = VectorCache(folder, IDENTITY)
    cache.put({"text": ROW}, {"doc": ["text"]})
    cache.close()
    return next(folder.glob("vectors-*.db"))


def found(folder: Path) -> list[str]:
    cache = VectorCache(folder, IDENTITY)
    rows = cache.get(["text", "other"])
    cache.close()
    return list(rows)


def test_a_file_that_can_not_be_opened_for_now_is_kept(tmp_path: Path):
    path = kept(tmp_path)
    in_the_way = path.with_name(path.name + "-wal")
    in_the_way.mkdir()

    with pytest.raises(OSError, match="unable to open database file") as caught:
        VectorCache(tmp_path, IDENTITY)

    in_the_way.rmdir()
    assert caught.value.filename == str(path)
    assert found(tmp_path) == ["text"]


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path):
    kept(tmp_path).write_bytes(b"torn" * 1_000)

    assert found(tmp_path) == []
    kept(tmp_path)
    assert found(tmp_path) == ["text"]
