"""A question's words -> how well each chunk matches them: BM25 (Robertson and Zaragoza 2009), over the segments of one snapshot.

Statistics are those of everything that can be found in the whole snapshot, so that they, and with them the order of hits, are the
same however its documents lie in segments, and owe nothing to documents that were erased.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from app.core.snapshot import Snapshot
from app.retrieve.dense import Rows, Scores
from app.retrieve.readable import Readable

K1, B = 0.4, 0.5
"""How soon a repeated word stops counting, and how much a long chunk must hold; chosen beside the cosines
(docs/decisions/0013-retrieval.md). Part of the release by the retriever's IDENTITY."""


def scores(snapshot: Snapshot, words: Sequence[str], within: Readable) -> Scores:
    """Return the score of every chunk, shape (chunks of all segments,): BM25 over the worth of all words of the question.

    0 for a chunk that holds none of the words, about 1 for one of mean length that holds each of them once. A word that no chunk
    holds counts in the worth: a question about something else must not score high by the rest of its words.
    """
    found = np.zeros(within.first[-1], dtype=np.float32)
    whole = 0.0
    for word, times in Counter(words).items():
        held = [segment.postings.find(word) for segment in snapshot.segments]
        holding = sum(
            len(rows) if live is None else int(np.count_nonzero(live[rows]))
            for (rows, _), live in zip(held, within.live, strict=True)
        )
        worth = times * np.log1p((within.chunks - holding + 0.5) / (holding + 0.5))
        whole += float(worth)
        for number, (rows, counts) in enumerate(held):
            if not len(rows):
                continue
            tf = counts.astype(np.float32)
            length = snapshot.segments[number].postings.lengths[rows] / within.mean_length
            found[within.first[number] + rows] += worth * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length))
    return found / np.float32(whole) if whole else found


def best(found: Scores, *, k: int, within: Readable) -> Rows:
    """Return the k chunks with the highest scores above 0 that may be found; best first."""
    masked = found
    if any(allowed is not None for allowed in within.allowed):
        masked = np.zeros_like(found)
        for number, allowed in enumerate(within.allowed):
            span = slice(within.first[number], within.first[number + 1])
            masked[span] = found[span] if allowed is None else found[span] * allowed
    rows = np.flatnonzero(masked > 0)
    if len(rows) > k:
        # Ties at the edge go to the earlier chunk: which of them argpartition leaves out would depend on the others.
        edge = np.partition(masked[rows], len(rows) - k)[len(rows) - k]
        rows = np.concatenate([rows[masked[rows] > edge], rows[masked[rows] == edge]])[:k]
    return rows[np.lexsort((rows, -masked[rows]))].astype(np.int64)
