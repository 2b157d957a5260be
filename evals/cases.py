"""Golden cases: one JSON line each, read strictly, since a case that is misread scores something else."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.errors import Misconfigured


class Turn(BaseModel):
    """An earlier turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["user", "assistant"]
    content: str


class Evidence(BaseModel):
    """Where the answer stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str
    """A uri, or its end after a ``/`` or ``#``."""
    quote: str
    """Verbatim, but for white space and marks."""


class Case(BaseModel):
    """One question with what a good answer holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    question: str
    messages: tuple[Turn, ...] = ()
    answers: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    answerable: bool
    slices: dict[str, str | int | float | bool | None] = {}
    source: str = ""


def read_cases(path: Path) -> list[Case]:
    """Read a file of golden cases.

    Raises:
        Misconfigured: It is not there or empty, a line is malformed (the message says which and why), or an id stands twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines would also cut at what JSON may hold raw
    except OSError:
        raise Misconfigured(f"{path} is not there: a folder to score holds `cases.jsonl`.") from None
    cases: dict[str, Case] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            case = Case.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Misconfigured(f"{path.name}:{number}: {where + ': ' if where else ''}{first['msg']}.") from None
        if case.id in cases:
            raise Misconfigured(f"{path.name}:{number}: the id `{case.id}` stands twice.")
        if case.answerable and not case.answers:
            raise Misconfigured(f"{path.name}:{number}: `{case.id}` is answerable and names no acceptable answer.")
        cases[case.id] = case
    if not cases:
        raise Misconfigured(f"{path} holds no cases.")
    return list(cases.values())
