"""Events -> the answer's body. Law 1 by construction: the body *is* the fold of the events."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from app.core.types import Chunk, Citation, Claim, Nano, Passage, Warned


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an answer; ``data`` is what stands beside ``type``, ``seq`` and ``t_ms``, ready for JSON."""

    type: str
    data: dict[str, Any]


def dollars(nano: Nano) -> orjson.Fragment:
    """Return money as a JSON number of at most nine places, written from the integer."""
    return orjson.Fragment(dollars_text(nano).encode())


def dollars_text(nano: Nano) -> str:
    """Return nano-dollars as dollars in plain decimal notation: ``136000`` is ``0.000136``."""
    return f"{nano // 10**9}.{nano % 10**9:09d}".rstrip("0").rstrip(".")


def place(chunk: Chunk) -> dict[str, Any]:
    """Return where a chunk stands, as citations and search hits show it."""
    return {
        "document_id": chunk.document.document_id,
        "revision": chunk.document.revision,
        "chunk_id": chunk.chunk_id,
        "title": chunk.document.title,
        "uri": chunk.document.uri,
        "heading": list(chunk.heading),
    }


def created(answer_id: str, release: dict[str, str], created_at: str) -> Event:
    """The first event."""
    return Event("answer.created", {"id": answer_id, "release": release, "created_at": created_at})


def retrieved(passages: tuple[Passage, ...]) -> Event:
    """What the model will see."""
    shown = [
        {
            "title": passage.chunk.document.title,
            "uri": passage.chunk.document.uri,
            "document_id": passage.chunk.document.document_id,
            "heading": list(passage.chunk.heading),
            "score": passage.score,
        }
        for passage in passages
    ]
    return Event("retrieval.completed", {"passages": shown})


def cited(citation: Citation) -> Event:
    """A citation, before the first delta that uses its number."""
    shown = {
        "n": citation.n,
        **place(citation.chunk),
        "heading": list(citation.chunk.document.heading_at(citation.start)),
        "page": citation.chunk.document.page_at(citation.start),
        "start": citation.start,
        "end": citation.end,
        "quote": citation.quote,
        "score": citation.score,
    }
    return Event("citation.added", {"citation": shown})


def delta(text: str) -> Event:
    """Whole, checked sentences."""
    return Event("answer.delta", {"text": text})


def claimed(claim: Claim) -> Event:
    """How a sentence is carried, after its delta."""
    shown = {
        "text": claim.text,
        "start": claim.start,
        "end": claim.end,
        "citations": list(claim.citations),
        "support": claim.support,
        "score": claim.score,
    }
    return Event("claim.verified", {"claim": shown})


def warned(warning: Warned) -> Event:
    """Something the caller should know."""
    return Event("warning.added", {"warning": {"code": warning.code, "message": warning.message}})


@dataclass
class Fold:
    """What the events so far add up to."""

    head: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    guardrails: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: Event) -> Event:
        """Take an event in, and return it."""
        match event.type:
            case "answer.created":
                self.head = event.data
            case "answer.delta":
                self.text += event.data["text"]
            case "citation.added":
                self.citations.append(event.data["citation"])
            case "claim.verified":
                self.claims.append(event.data["claim"])
            case "warning.added":
                self.warnings.append(event.data["warning"])
            case "guardrail.triggered":
                self.guardrails.append(event.data["guardrail"])
        return event

    def body(self, *, status: str, **rest: Any) -> dict[str, Any]:
        """Return the answer's body.

        Args:
            status: How it ended.
            **rest: What no event carries: confidence, abstained_because, usage, timings_ms, trace_id.
        """
        spans: dict[int, list[list[int]]] = {}
        for claim in self.claims:
            for n in claim["citations"]:
                spans.setdefault(n, []).append([claim["start"], claim["end"]])
        return {
            "id": self.head["id"],
            "object": "answer",
            "status": status,
            "answer": self.text,
            "citations": [{**citation, "answer_spans": spans.get(citation["n"], [])} for citation in self.citations],
            "claims": self.claims,
            "confidence": rest["confidence"],
            "abstained_because": rest["abstained_because"],
            "release": self.head["release"],
            "usage": rest["usage"],
            "timings_ms": rest["timings_ms"],
            "guardrails": self.guardrails,
            "warnings": self.warnings,
            "trace_id": rest["trace_id"],
            "created_at": self.head["created_at"],
        }
