"""Question -> hits, best first."""

from app.retrieve.dense import IDENTITY, Retriever

__all__ = ["IDENTITY", "Retriever"]
