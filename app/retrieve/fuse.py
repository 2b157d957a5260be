"""Cosines, and shares of a question's words -> one score for each candidate."""

import numpy as np
import numpy.typing as npt

IDENTITY = "fuse/1"
"""Part of the release."""

WORDS = 0.5
"""The cosine that a passage is worth which holds each of a question's words once. From .4 to .6, with BM25's k1 from .2 to
.6, the mean over 14 collections stays within .006 (docs/decisions/0013-retrieval.md)."""

SPREAD = 0.12
"""Standard deviation of MiniLM's cosines between passages drawn by chance (.09 to .15 by collection)."""

Scores = npt.NDArray[np.float32]


def fuse(dense: Scores, lexical: Scores, *, spread: float = SPREAD) -> Scores:
    """Return ``dense * 0.12 / spread + 0.5 * lexical``: each side as it is, not stretched to the range of its hits.

    How high the best hits stand is what tells whether a side knows anything, and min-max or z-scores throw that away. Where a
    passage holds most of what is rare in the question, its words decide; where the best holds a third of it, as when plain
    words ask for code, cosines do. So every question weighs the sides anew, with nothing to fit. And a candidate's score
    depends on no other candidate: a filter, or what the caller may not read, changes nobody's place before another.

    Args:
        dense: Cosines, shape (n,).
        lexical: Shape (n,): BM25 over the worth (sum of idf) of all the question's words, also of those that the collection
            does not know. 0 for none of them; about 1 for each of them once in a chunk of mean length.
        spread: Standard deviation of the embedder's cosines between passages drawn by chance. Some embedders give all texts
            cosines of .7 to .9 (e5: .03); left as they are, words alone would decide.

    Returns:
        Scores to rank by, shape (n,), growing with each side; with MiniLM, in units of its cosine.
    """
    return np.asarray(dense * (SPREAD / spread) + WORDS * lexical, dtype=np.float32)
