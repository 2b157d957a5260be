"""The price book: a model's name -> what its tokens cost, in whole nano-dollars on the way out."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import rfc8785
import yaml

from app.core.config import Settings
from app.core.errors import Misconfigured, ModelUnpriced
from app.core.types import Nano

_PER_TOKEN = Decimal(1000)  # dollars per million tokens -> nano-dollars per token: 10^9 / 10^6
_MOST = Decimal(1_000_000)
"""Dollars per million tokens; anything above is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Price:
    """One dated row: dollars per million tokens."""

    model: str
    since: date
    input: Decimal
    output: Decimal

    @property
    def sha256(self) -> str:
        """The row's hash, which each call's ledger row names."""
        row = {"model": self.model, "since": self.since.isoformat(), "input": str(self.input), "output": str(self.output)}
        return hashlib.sha256(rfc8785.dumps(row)).hexdigest()

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Nano:
        """Return the cost in nano-dollars; a fraction of one counts as one."""
        exact = (self.input * prompt_tokens + self.output * completion_tokens) * _PER_TOKEN
        return int(exact.to_integral_value(rounding=ROUND_CEILING))


class PriceBook:
    """The shipped book with the overlay that ``prices set`` writes; live state, so no part of a release.

    A running server reads a changed overlay at the next call.
    """

    def __init__(self, shipped: Path, overlay: Path) -> None:
        self._shipped = shipped
        self._overlay = overlay
        self._seen: tuple[object, ...] = ()
        self._rows: dict[str, list[Price]] = {}

    def rows(self) -> dict[str, list[Price]]:
        """Return every row by model, oldest first; the overlay's rows for a model replace the shipped ones.

        Raises:
            Misconfigured: A file is malformed.
        """
        seen = tuple(_stamp(path) for path in (self._shipped, self._overlay))
        if seen != self._seen:
            self._rows = {**_read(self._shipped), **_read(self._overlay)}
            self._seen = seen
        return self._rows

    def price(self, model: str, on: date | None = None) -> Price:
        """Return the row in force on a day, today by default.

        Raises:
            ModelUnpriced: There is none; the model must not be called.
        """
        day = on or datetime.now(UTC).date()
        in_force = [row for row in self.rows().get(model, ()) if row.since <= day]
        if not in_force:
            raise ModelUnpriced(
                f"The model `{model}` has no price, so a call could not be accounted for. "
                f"Set it with `citewell prices set {model} --input USD --output USD` (dollars per million tokens)."
            )
        return in_force[-1]

    def set(self, model: str, *, input: Decimal, output: Decimal, since: date) -> Price:
        """Write a row into the overlay, whole or not at all, and return it. A row of the same day is replaced.

        Raises:
            Misconfigured: The price is negative, not a number, or absurd.
        """
        new = _price(model, {"since": since, "input": input, "output": output})
        rows = _read(self._overlay)
        kept = [row for row in rows.get(model, self.rows().get(model, [])) if row.since != since]
        rows[model] = sorted([*kept, new], key=lambda row: row.since)
        document = {
            "models": {
                name: [{"since": row.since, "input": str(row.input), "output": str(row.output)} for row in listed]
                for name, listed in sorted(rows.items())
            }
        }
        self._overlay.parent.mkdir(parents=True, exist_ok=True)
        draft = self._overlay.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        os.replace(draft, self._overlay)
        return new


def open_book(settings: Settings) -> PriceBook:
    """Return the shipped price book under the overlay that ``citewell prices set`` writes."""
    return PriceBook(settings.prices, settings.home / "prices.yaml")


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(path: Path) -> dict[str, list[Price]]:
    try:
        models: Mapping[str, list[Any]] = (yaml.safe_load(path.read_text(encoding="utf-8")) or {})["models"]
        return {model: sorted((_price(model, row) for row in rows), key=lambda row: row.since) for model, rows in models.items()}
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        raise Misconfigured(f"The price book {path.name} is malformed: {error!r}.", detail=str(path)) from None


def _price(model: str, row: Mapping[str, Any]) -> Price:
    if set(row) != {"since", "input", "output"} or not isinstance(row["since"], date):
        raise Misconfigured(f"A price of `{model}` needs exactly since (a date), input and output, and has {sorted(row)}.")
    values = [Decimal(str(row[name])) for name in ("input", "output")]
    if not all(value.is_finite() and 0 <= value <= _MOST for value in values):
        raise Misconfigured(f"A price of `{model}` is not between 0 and {_MOST} dollars per million tokens.")
    return Price(model, row["since"], *(value.normalize() + 0 for value in values))
