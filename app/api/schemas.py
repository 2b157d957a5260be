"""Wire shapes, as CONTRACTS and OpenAPI know them. Requests are validated by them; responses are documented by them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.types import Ask, Message, Support


class Request(BaseModel):
    """Unknown fields are refused, never ignored; types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Turn(Request):
    """An earlier turn of the conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Field(max_length=20_000)]


_Scalar = Annotated[str, Field(max_length=1_000)] | bool | int | float
FilterFields = Annotated[
    dict[str, _Scalar | Annotated[list[_Scalar], Field(min_length=1, max_length=100)]] | None,
    Field(max_length=20, description="Metadata field: the value that a document must have, or a list of which it must have one."),
]

CollectionName = Annotated[str, Field(max_length=200, description="Name of a collection.")]


class AnswerRequest(Request):
    """A question. Only ``question`` is required."""

    question: Annotated[str, Field(description="What to answer; at most 4,000 characters by default.")]
    collection: CollectionName = "docs"
    messages: Annotated[tuple[Turn, ...], Field(max_length=200, strict=False, description="Earlier turns, oldest first.")] = ()
    filters: FilterFields = None
    user: Annotated[str | None, Field(max_length=200, description="Your user's id; keeps them on one arm.")] = None
    stream: bool = False
    max_citations: Annotated[int, Field(ge=1, le=20)] = 5

    def ask(self) -> Ask:
        """Return it as the question path takes it."""
        turns = tuple(Message(turn.role, turn.content) for turn in self.messages)
        return Ask(self.question, self.collection, turns, self.user, self.max_citations, self.stream, filters=self.filters or {})


class SearchRequest(Request):
    """A query for passages."""

    query: str
    collection: CollectionName = "docs"
    k: Annotated[int, Field(ge=1, le=100)] = 10
    filters: FilterFields = None


class FeedbackRequest(Request):
    """What a user thought of an answer."""

    rating: Literal["up", "down"]
    reason: Annotated[str | None, Field(max_length=200)] = None
    comment: Annotated[str | None, Field(max_length=10_000)] = None
    correct_answer: Annotated[str | None, Field(max_length=10_000)] = None


class Response(BaseModel):
    """A field that a response gains later breaks nobody; one that it has stays."""


class CitationBody(Response):
    """A verbatim quote, at ``[start, end)`` of the cited revision's text."""

    n: int
    document_id: str
    revision: str
    chunk_id: str
    title: str
    uri: str
    heading: list[str]
    page: int | None
    start: int
    end: int
    quote: str
    score: float
    answer_spans: list[tuple[int, int]]


class ClaimBody(Response):
    """One sentence of the answer; ``text == answer[start:end]``."""

    text: str
    start: int
    end: int
    citations: list[int]
    support: Support
    score: float


class ReleaseBody(Response):
    """What decided the answer."""

    id: str
    arm: str
    prompt: str
    snapshot: str
    model: str


class CallBody(Response):
    """One upstream attempt."""

    purpose: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
    attempt: int
    outcome: str


class UsageBody(Response):
    """Tokens and dollars."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: float
    estimated: bool
    calls: list[CallBody]


class WarningBody(Response):
    """Something the caller should know."""

    code: str
    message: str


class ProblemBody(Response):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retryable: bool
    errors: list[dict[str, str]] | None = None
    retry_after_s: int | None = None
    limit: int | None = None


class AnswerBody(Response):
    """An answer; offsets are code points, end exclusive."""

    id: str
    object: Literal["answer"]
    status: Literal["answered", "abstained", "blocked", "degraded"]
    answer: str
    citations: list[CitationBody]
    claims: list[ClaimBody]
    confidence: float | None
    abstained_because: (
        Literal[
            "nothing_relevant",
            "evidence_insufficient",
            "sources_disagree",
            "question_unclear",
            "not_permitted",
            "model_abstained",
        ]
        | None
    )
    release: ReleaseBody
    usage: UsageBody
    timings_ms: dict[str, float]
    guardrails: list[dict[str, Any]]
    warnings: list[WarningBody]
    trace_id: str
    created_at: str


class UnfinishedBody(Response):
    """An answer that is on its way, failed, was cancelled or refused, with the text sent so far."""

    id: str
    object: Literal["answer"]
    status: Literal["running", "failed", "cancelled", "refused"]
    answer: str
    problem: ProblemBody | None
    cost_usd: float
    trace_id: str
    created_at: str


class HitBody(Response):
    """A passage that was found."""

    document_id: str
    revision: str
    chunk_id: str
    title: str
    uri: str
    heading: list[str]
    page: int | None
    start: int
    end: int
    text: str
    score: float


class SearchBody(Response):
    """Passages, best first."""

    hits: list[HitBody]


class FeedbackBody(Response):
    """Feedback as it was stored."""

    id: str
    answer_id: str
    rating: Literal["up", "down"]
    created_at: datetime


class HeadingBody(Response):
    """A line of a document's text that is a heading."""

    start: int
    level: int


class DocumentBody(Response):
    """A document at one revision; offsets are code points of ``text``. Of an earlier revision headings and pages are not known."""

    document_id: str
    collection: str
    uri: str
    title: str
    revision: str
    metadata: dict[str, Any]
    text: str
    headings: list[HeadingBody]
    pages: list[int]


class DocumentRow(Response):
    """A line of a listing."""

    document_id: str
    uri: str
    title: str
    revision: str


class DocumentsBody(Response):
    """A page of a listing; ``next`` is the cursor of the following one."""

    documents: list[DocumentRow]
    next: str | None


class CollectionBody(Response):
    """A collection and what serves it."""

    name: str
    snapshot: str | None
    documents: int | None
    chunks: int | None


class CollectionsBody(Response):
    """The collections the caller may use."""

    collections: list[CollectionBody]


class PartBody(Response):
    """One thing the service stands on."""

    state: Literal["ok", "starting", "down", "missing", "stopping"]
    detail: str | None = None


class ReadyBody(Response):
    """Whether requests can be served; the model's state is shown and decides nothing."""

    ready: bool
    index: PartBody
    database: PartBody
    model: PartBody


class AliveBody(Response):
    """The process answers."""

    alive: Literal[True]
