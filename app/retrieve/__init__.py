"""Question -> hits, best first."""

from app.retrieve import condense as condensing
from app.retrieve import fuse, retriever
from app.retrieve.condense import condense
from app.retrieve.dense import FILES, Dense
from app.retrieve.questions import Questions
from app.retrieve.readable import Access, Readable
from app.retrieve.rerank import CrossEncoder, Reranker
from app.retrieve.retriever import Retriever

__all__ = ["FILES", "IDENTITY", "Access", "CrossEncoder", "Dense", "Questions", "Readable", "Reranker", "Retriever", "condense"]

IDENTITY = " ".join([condensing.IDENTITY, retriever.IDENTITY, fuse.IDENTITY])
"""Part of the release."""
