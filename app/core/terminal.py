"""How commands talk: results on stdout, the rest on stderr, an expected error as one line with the next thing to try."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click
import orjson

from app.core import telemetry
from app.core.config import Settings, load_settings
from app.core.errors import CitewellError

_UNITS = {"embedding": " chunks", "asking": " questions", "searching": " queries"}


class CliError(click.ClickException):
    """An expected error: one line, exit code 1."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002  click's signature
        """Print the line."""
        click.secho(f"error: {self.message}", fg="red", err=True)


def settings(*, quiet: bool = True) -> Settings:
    """Read the settings, and set up logging for a command: warnings only, unless it is one that serves."""
    try:
        found = load_settings()
    except CitewellError as error:
        fail(error)
    telemetry.configure("WARNING" if quiet and found.log_level == "INFO" else found.log_level)
    return found


def fail(error: CitewellError) -> NoReturn:
    """End the command with an expected error."""
    raise CliError(error.message) from error


def run(work: Callable[[], Any]) -> Any:
    """Run a command's work; an expected error becomes its one line."""
    try:
        return work()
    except CitewellError as error:
        fail(error)
    except OSError as error:
        raise CliError(
            f"{error.strerror or error}: {error.filename or 'the disk'}. Nothing was lost; mend it and run this again."
        ) from error


def print_json(value: Any) -> None:
    """Print one JSON document for machines."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return aligned columns."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


class Bars:
    """A progress bar per step, with rate and remaining time; on a terminal only. Steps may be told of by different threads."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def advance(self, step: str, amount: int, whole: int | None) -> None:
        """Move the step's bar.

        Args:
            step: What is being done; a new name adds a bar.
            amount: How much was done since the last call.
            whole: Of how much, where it is known; it may change.
        """
        from tqdm import tqdm  # only what takes long needs it

        bar = self._bars.get(step)
        if bar is None:
            unit, line = _UNITS.get(step, " documents"), len(self._bars)
            bar = tqdm(total=whole, desc=step, unit=unit, position=line, disable=not sys.stderr.isatty(), file=sys.stderr)
            self._bars[step] = bar
        if whole is not None:
            bar.total = whole  # an estimate gets better on the way
        bar.update(amount)
