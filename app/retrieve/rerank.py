"""A question and its hits -> the hits in the order of a model that reads both together. Off unless ``retrieve.reranker`` names one."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from app.core.errors import Misconfigured, ModelBadResponse
from app.core.types import Hit
from app.retrieve.dense import Scores


class Reranker(Protocol):
    """Scores passages by a question."""

    identity: Mapping[str, object]
    """Part of the release."""

    def __call__(self, question: str, texts: Sequence[str]) -> Scores:
        """Return one score for each text, shape (n,): the higher, the better; comparable within one question."""


class CrossEncoder:
    """A cross-encoder of sentence-transformers, from a folder on this machine; nothing is looked up at a hub."""

    def __init__(self, folder: Path) -> None:
        """Load it.

        Raises:
            Misconfigured: There is none in the folder, or it does not give one score for a pair.
        """
        weights = folder.expanduser() / "model.safetensors"
        if not weights.is_file():
            raise Misconfigured(
                f"`retrieve.reranker` ({folder}) is no folder with model.safetensors. Name a cross-encoder's, or none."
            )
        from sentence_transformers import CrossEncoder as Model  # with torch: seconds

        with weights.open("rb") as file:
            self.identity: Mapping[str, object] = {
                "name": folder.name,
                "weights": hashlib.file_digest(file, "sha256").hexdigest(),
            }
        self._model = Model(str(weights.parent), device="cpu", local_files_only=True)
        self._lock = Lock()
        if self._model.num_labels != 1:
            raise Misconfigured(
                f"`retrieve.reranker` ({folder}) gives {self._model.num_labels} scores for a pair; it must give one."
            )

    def __call__(self, question: str, texts: Sequence[str]) -> Scores:
        """Return one score for each text."""
        with self._lock:  # one at a time: each takes all the cores that torch has
            scores = self._model.predict([(question, text) for text in texts], show_progress_bar=False)
        return np.asarray(scores, dtype=np.float32).reshape(-1)


def reranked(question: str, hits: Sequence[Hit], rerank: Reranker) -> list[Hit]:
    """Return the hits with the reranker's scores, best first; cosines stay.

    Raises:
        ModelBadResponse: It gave a score that is no number, or too few.
    """
    if not hits:
        return []
    scores = rerank(question, [f"{hit.chunk.document.title}\n{hit.chunk.text}" for hit in hits])
    if scores.shape != (len(hits),) or not np.isfinite(scores).all():
        said = f"{scores.shape} scores for {len(hits)} hits, or one that is no number"
        raise ModelBadResponse("The reranker gave no usable scores. Ask again; if it stays, report it.", detail=said)
    order = np.argsort(-scores, kind="stable")
    return [replace(hits[at], score=round(float(scores[at]), 6)) for at in order.tolist()]
