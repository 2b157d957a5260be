"""A suite: cases, the documents they are asked over, what is pinned, and the floors under its measures."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from app.core.config import CHECKOUT, PACKAGE, Settings
from app.core.errors import Misconfigured
from evals.metrics import NAMES

SUITES = Path(__file__).parent / "suites"
_FLOOR = re.compile(r"(>=|<=) *(\d*\.?\d+)")
_NOT_DOCUMENTS = ("README*", "LICENSE*", "cases.jsonl")


@dataclass(frozen=True, slots=True)
class Floor:
    """What a measure must keep to, in a suite ``right: ">= 0.8"``."""

    metric: str
    sign: Literal[">=", "<="]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps to it."""
        return value >= self.limit if self.sign == ">=" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.metric} {self.sign} {self.limit:g}"


@dataclass(frozen=True)
class Suite:
    """What is asked, over what, and what must hold."""

    name: str
    cases: Path
    documents: Path
    exclude: tuple[str, ...] = ()
    model: str | None = None
    """The pinned model; None: the one that the settings name."""
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """Settings that the suite fixes, by dotted name."""
    today: date = date(2026, 1, 1)
    """The day that prompts are told: pinned, so that a recorded call is found again tomorrow."""
    floors: tuple[Floor, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of cases and documents (first 16 hex digits), so that a figure says what it was taken on."""
        return hash_of(self.cases, self.documents)

    def settings(self, settings: Settings, model: str | None = None) -> Settings:
        """Return the settings with the suite's pins; ``model`` goes before the suite's own.

        Raises:
            Misconfigured: A pin names no setting, or is out of range.
        """
        tree = settings.model_dump()
        tree["model_api_key"] = settings.model_api_key
        for name, value in self.pinned.items():
            *sections, last = name.split(".")
            place = tree
            for section in sections:
                place = place.get(section, {})
            if last not in place:
                raise Misconfigured(f"The suite `{self.name}` pins `{name}`, and there is no such setting.")
            place[last] = value
        tree["model"] = model or self.model or settings.model
        try:
            return Settings.model_validate(tree)
        except ValidationError as error:
            raise Misconfigured(f"The suite `{self.name}` pins a setting out of its range: {error.errors()[0]['msg']}.") from None


def hash_of(*roots: Path) -> str:
    """Return a hash of files, and of folders with the names below them (first 16 hex digits)."""
    digest = hashlib.sha256()
    for root in (root.resolve() for root in roots):
        for path in sorted(path for path in root.rglob("*") if path.is_file()) or [root]:
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    cases: str
    documents: str
    model: str
    settings: dict[str, Any] = {}
    today: date = date(2026, 1, 1)
    floors: dict[str, str]


def find_suite(name: str) -> Suite:
    """Return a shipped suite by its name, a suite's YAML file, or a folder of cases.

    Raises:
        Misconfigured: There is none of these, or the file is malformed.
    """
    shipped = SUITES / f"{name}.yaml"
    if re.fullmatch(r"[a-z][a-z0-9-]*", name) and shipped.exists():
        return _read(shipped)
    path = Path(name)
    if path.is_dir():
        lone = path / "documents.jsonl"
        return Suite(
            path.resolve().name, path / "cases.jsonl", lone if lone.exists() else path, () if lone.exists() else _NOT_DOCUMENTS
        )
    if path.suffix in (".yaml", ".yml") and path.exists():
        return _read(path)
    known = ", ".join(sorted(file.stem for file in SUITES.glob("*.yaml")))
    raise Misconfigured(f"`{name}` is neither a suite ({known}), nor a suite's YAML file, nor a folder with cases.jsonl.")


def _read(path: Path) -> Suite:
    try:
        file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Misconfigured(f"The suite {path.name} is malformed: {error}") from None
    floors = []
    for metric, text in file.floors.items():
        found = _FLOOR.fullmatch(text)
        if metric not in NAMES or not found:
            raise Misconfigured(
                f"The suite {path.name} has the floor `{metric}: {text}`. One reads like `right: '>= 0.8'`, with one of: "
                f"{', '.join(NAMES)}."
            )
        floors.append(Floor(metric, ">=" if found[1] == ">=" else "<=", float(found[2])))
    return Suite(
        path.stem,
        path.parent / file.cases,
        _handbook() if file.documents == "handbook" else path.parent / file.documents,
        model=file.model,
        pinned=file.settings,
        today=file.today,
        floors=tuple(floors),
    )


def _handbook() -> Path:
    return CHECKOUT / "docs" / "handbook" if CHECKOUT else PACKAGE / "_data" / "handbook"
