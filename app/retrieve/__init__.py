"""Question -> hits, best first."""

from app.retrieve.dense import IDENTITY, Retriever
from app.retrieve.questions import Questions

__all__ = ["IDENTITY", "Questions", "Retriever"]
