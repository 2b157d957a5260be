"""The on-disk index format: written by ingest, read by retrieve, defined only here.

    <indexes>/<collection>/
        CURRENT                      the id of the published snapshot, replaced atomically
        PUBLISHED                    what was ever published, and when: one line each
        snapshots/<id>/manifest.json what it is made of, with the sha256 of every file
        segments/<id>/               documents, chunks, vectors, words (segment.py); shared by snapshots
        texts/<revision>             normalised text; its name is its hash
        LOCK                         held by the one process that writes
        STORE                        the URL of the object storage that this is a copy of (pull.py), if any

Nothing is ever changed in place: a reader sees one complete snapshot or the next. Text is stored once, under its
revision; chunks and quotes are ranges of it.
"""

from app.core.snapshot import ann
from app.core.snapshot.ann import Asked
from app.core.snapshot.layout import collections, current_id, folder_of, publish, published, stamp, stored
from app.core.snapshot.postings import Postings
from app.core.snapshot.segment import Flags, NewDocument, Segment, SegmentWriter, merge, open_segment, row_hash
from app.core.snapshot.snapshot import (
    Place,
    Snapshot,
    compose,
    manifest_bytes,
    open_current,
    open_snapshot,
    read_manifest,
    rows_of,
    snapshot_id,
    verify,
    write_manifest,
)
from app.core.snapshot.texts import Texts, write_texts

__all__ = [
    "Asked",
    "Flags",
    "NewDocument",
    "Place",
    "Postings",
    "Segment",
    "SegmentWriter",
    "Snapshot",
    "Texts",
    "ann",
    "collections",
    "compose",
    "current_id",
    "folder_of",
    "manifest_bytes",
    "merge",
    "open_current",
    "open_segment",
    "open_snapshot",
    "publish",
    "published",
    "read_manifest",
    "row_hash",
    "rows_of",
    "snapshot_id",
    "stamp",
    "stored",
    "verify",
    "write_manifest",
    "write_texts",
]
