"""Every table. Money rows stand apart from content, so that content can be blanked and the books stay whole."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, MetaData, Text, false, text
from sqlmodel import Field, SQLModel

# Named before the first table: a constraint without a name can't be dropped by a later migration.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA: MetaData = SQLModel.metadata


def now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


class Tenanted(SQLModel):
    """Each row says whose it is."""

    tenant: str = Field(index=True)


class CollectionRow(Tenanted, table=True):
    """A collection, and the epochs that everything cached is keyed by."""

    __tablename__: ClassVar[str] = "collections"

    name: str = Field(primary_key=True)
    visible_to_all: bool = True
    follow: bool = True
    """The server makes the release from CURRENT and the ``stable`` label; ends with the first promotion."""
    erasure_epoch: int = 0
    acl_epoch: int = 0
    release_epoch: int = 0
    acl_required: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    """Whether access lists bind: then a document without one is read by nobody but administrators."""
    created_at: datetime = Field(default_factory=now)


class ErasureRow(Tenanted, table=True):
    """A document that was deleted: it binds under every snapshot and for every later ingest, until it is restored."""

    __tablename__: ClassVar[str] = "erasures"

    id: str = Field(primary_key=True)
    collection: str = Field(index=True)
    document_id: str = Field(index=True)
    erased_at: datetime = Field(default_factory=now)
    restored_at: datetime | None = None
    receipt: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """What was removed from where; names no title, path or text."""


class AclRow(Tenanted, table=True):
    """Who may read a document."""

    __tablename__: ClassVar[str] = "acls"

    collection: str = Field(primary_key=True)
    document_id: str = Field(primary_key=True)
    principals: list[str] | None = Field(default=None, sa_type=JSON)
    """Null: its list was taken away, as if there had been none."""
    epoch: int = Field(index=True)
    """The collection's ``acl_epoch`` that brought it, so that a reader fetches only what is new."""
    updated_at: datetime = Field(default_factory=now)


class QuarantineRow(Tenanted, table=True):
    """Something that an ingest refused, and why; it goes once it is read."""

    __tablename__: ClassVar[str] = "quarantine"

    collection: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    place: str = Field(primary_key=True)
    """Path below the source's root; ``file.jsonl:12`` for a row."""
    target: str
    """What was ingested when it was refused: a path or a URL, to try it again."""
    uri: str | None = None
    code: str
    message: str = Field(sa_type=Text)
    first_seen: datetime = Field(default_factory=now)
    last_seen: datetime = Field(default_factory=now)


class ReleaseRow(Tenanted, table=True):
    """Everything that decides an answer, as canonical JSON; the id is its hash."""

    __tablename__: ClassVar[str] = "releases"

    id: str = Field(primary_key=True)
    collection: str = Field(index=True)
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(default_factory=now)


class AnswerRow(Tenanted, table=True):
    """One answer, however it ended: the books' side of it."""

    __tablename__: ClassVar[str] = "answers"
    __table_args__ = (Index("ix_answers_tenant_created_at", "tenant", "created_at"),)

    id: str = Field(primary_key=True)
    key_id: str | None = Field(default=None, index=True)
    collection: str
    release_id: str | None = Field(default=None, index=True)
    """Null only when it was refused before a release was known."""
    arm: str | None = None
    status: str
    """``running``, then answered, abstained, blocked, degraded, refused, failed or cancelled."""
    abstained_because: str | None = None
    code: str | None = None
    """The problem's code of a refused or failed one."""
    prompt: str | None = None
    snapshot: str | None = None
    model: str | None = None
    cost_nano: int = Field(default=0, sa_type=BigInteger)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    timings: dict[str, float] = Field(default_factory=dict, sa_type=JSON)
    request_id: str | None = None
    trace_id: str | None = None
    created_at: datetime = Field(default_factory=now)
    finished_at: datetime | None = None


class AnswerContentRow(Tenanted, table=True):
    """What an answer said and was asked: blanked when a document it used is erased."""

    __tablename__: ClassVar[str] = "answer_contents"

    answer_id: str = Field(primary_key=True, foreign_key="answers.id")
    question: str = Field(sa_type=Text)
    history: list[dict[str, str]] = Field(default_factory=list, sa_type=JSON)
    today: str | None = None
    """The date the prompt was rendered with: an input, so that the prompt can be rebuilt byte by byte."""
    user: str | None = None
    max_citations: int = 5
    filters: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"server_default": text("'{}'")})
    rendered: list[dict[str, str]] | None = Field(default=None, sa_type=JSON)
    text: str = Field(default="", sa_type=Text)
    """What was sent, whole sentences only."""
    body: str | None = Field(default=None, sa_type=Text)
    """The JSON body, byte for byte as it was sent."""
    problem: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    erased_at: datetime | None = None
    """When a document that it used was deleted, and everything above was blanked."""


class AnswerPassageRow(Tenanted, table=True):
    """A passage that the model was shown, so that an erasure finds every answer that used a document."""

    __tablename__: ClassVar[str] = "answer_passages"

    answer_id: str = Field(primary_key=True, foreign_key="answers.id")
    n: int = Field(primary_key=True)
    document_id: str = Field(index=True)
    revision: str
    start: int
    end: int
    score: float


class ModelCallRow(Tenanted, table=True):
    """One upstream attempt: ``pending`` before it, then ``settled`` or ``released``."""

    __tablename__: ClassVar[str] = "model_calls"
    # SQLite would store 1.5 in a BIGINT column, and a sum of such cents is a float.
    __table_args__ = (
        CheckConstraint("cost_nano >= 0 AND reserved_nano >= 0", name="not_negative"),
        CheckConstraint("typeof(cost_nano) = 'integer' AND typeof(reserved_nano) = 'integer'", name="whole").ddl_if(
            dialect="sqlite"
        ),
    )

    id: str = Field(primary_key=True)
    answer_id: str = Field(foreign_key="answers.id", index=True)
    purpose: str
    model: str
    attempt: int
    state: str = Field(index=True)
    outcome: str | None = None
    """``ok``, ``cancelled`` or a problem's code."""
    reserved_nano: int = Field(sa_type=BigInteger)
    cost_nano: int = Field(default=0, sa_type=BigInteger)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    price: str
    """Hash of the price row that was used."""
    created_at: datetime = Field(default_factory=now)
    settled_at: datetime | None = None


class FeedbackRow(Tenanted, table=True):
    """What a user thought of an answer."""

    __tablename__: ClassVar[str] = "feedback"

    id: str = Field(primary_key=True)
    answer_id: str = Field(foreign_key="answers.id", index=True)
    key_id: str | None = None
    rating: str
    reason: str | None = None
    comment: str | None = Field(default=None, sa_type=Text)
    correct_answer: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(default_factory=now)


class ApiKeyRow(Tenanted, table=True):
    """An API key; only the hash of its secret is kept."""

    __tablename__: ClassVar[str] = "api_keys"

    id: str = Field(primary_key=True)
    name: str = ""
    hash: str = Field(unique=True)
    principals: list[str] = Field(default_factory=list, sa_type=JSON)
    scopes: list[str] = Field(default_factory=list, sa_type=JSON)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
