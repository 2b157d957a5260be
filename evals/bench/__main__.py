"""The run: every part in turn, progress on standard error, the table on standard output and in ``docs/benchmarks.md``."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from app.core import telemetry
from app.core.errors import CitewellError
from evals.bench import again, answering, ingesting, page, remembering, searching, starting, swapping, workshop
from evals.bench.children import ROOT
from evals.bench.figures import Failed, Row, table
from evals.bench.workshop import Workshop

_CHARS = 600_000
"""Of the pages that are ingested: about 1,300 chunks."""
_PLAIN = {"ingesting": 2, "again": 1, "starting": 3, "searching": 2, "remembering": 1, "swapping": 2, "answering": 3}
_FULL = 5


def main() -> int:
    """Run what was asked for; anything that failed, or was interrupted, leaves the page as it was."""
    asked = _arguments()
    telemetry.configure("WARNING")
    signal.signal(signal.SIGTERM, _interrupt)
    rounds = {name: _FULL if asked.full else few for name, few in _PLAIN.items()}
    parts: dict[str, Callable[[Workshop], list[Row]]] = {
        "ingesting": lambda shop: ingesting.measure(shop, rounds=rounds["ingesting"]),
        "again": lambda shop: again.measure(shop, rounds=rounds["again"]),
        "starting": lambda shop: starting.measure(shop, rounds=rounds["starting"]),
        "searching": lambda shop: searching.measure(
            shop, sizes=[*searching.SIZES, *([searching.LARGE] if asked.full else [])], rounds=rounds["searching"]
        ),
        "remembering": lambda shop: remembering.measure(shop),
        "swapping": lambda shop: swapping.measure(shop, rounds=rounds["swapping"]),
        "answering": lambda shop: answering.measure(shop, rounds=rounds["answering"], late=asked.answers),
    }
    rows: list[Row] = []
    try:
        with workshop.opened(pages_chars=asked.chars) as shop:
            for name, part in parts.items():
                if asked.only in (None, name):
                    _say(f"{name}, {rounds[name]} rounds ...")
                    rows += part(shop)
    except (Failed, CitewellError) as error:
        _say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted: everything was stopped, the page is as it was")
        return 130
    sys.stdout.write(table(rows) + "\n")
    if asked.only is None and not asked.dry:
        plain = "make bench" + (" FULL=1" if asked.full else "")
        command = plain if set(sys.argv[1:]) <= {"--full"} else " ".join(["python -m evals.bench", *sys.argv[1:]])
        page.write(ROOT / "docs/benchmarks.md", rows, command)
        _say("the table is in docs/benchmarks.md")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evals.bench", description="Speed, beside what it stands on.")
    parser.add_argument("--full", action="store_true", help=f"{_FULL} rounds of every part, for medians")
    parser.add_argument("--only", choices=list(_PLAIN), help="one part; the page is not written")
    parser.add_argument("--dry", action="store_true", help="don't write the page")
    parser.add_argument("--answers", type=int, default=answering.LATE, help="answers after which memory is read last")
    parser.add_argument("--chars", type=int, default=_CHARS, help="characters of the pages that are ingested")
    return parser.parse_args()


_STARTED = time.perf_counter()


def _say(text: str) -> None:
    sys.stderr.write(f"[{time.perf_counter() - _STARTED:5.0f} s] {text}\n")


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  as the signal module calls it
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
