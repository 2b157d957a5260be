"""One way to log and time a step, so that every step reports the same way: one JSON line on stderr, one histogram."""

import logging
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import orjson
import structlog
from prometheus_client import Counter, Gauge, Histogram

from app.core.errors import CitewellError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

Fact = str | int | float | bool | None

_FINE = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

ANSWERS = Counter("citewell_answers", "Answers by how they ended", ["collection", "status", "code"])
ANSWER_SECONDS = Histogram("citewell_answer_seconds", "Whole answers", ["collection"], buckets=_FINE)
STEP_SECONDS = Histogram("citewell_step_seconds", "One step of an answer", ["step"], buckets=_FINE)
FIRST_DELTA_SECONDS = Histogram("citewell_first_delta_seconds", "Request to first sentence", buckets=_FINE)
MODEL_CALLS = Counter("citewell_model_calls", "Upstream attempts", ["model", "purpose", "outcome"])
TOKENS = Counter("citewell_tokens", "Tokens booked", ["model", "kind"])
COST = Counter("citewell_cost_usd", "Dollars booked", ["model", "purpose"])
BEST_SCORE = Histogram(
    "citewell_retrieval_best_score", "Best cosine of a question", ["collection"], buckets=[i / 10 for i in range(1, 10)]
)
CLAIMS = Counter("citewell_claims", "Claims by how their evidence carries them", ["support"])
GUARDRAIL = Counter("citewell_guardrail", "Guard rules that fired", ["rule", "action"])
INDEX_DOCUMENTS = Gauge(
    "citewell_index_documents", "Documents of the live snapshot", ["collection"], multiprocess_mode="mostrecent"
)
INDEX_PUBLISHED = Gauge(
    "citewell_index_published_timestamp_seconds",
    "When the live snapshot was published",
    ["collection"],
    multiprocess_mode="mostrecent",
)
LEDGER_PENDING = Gauge("citewell_ledger_pending", "Calls reserved and not settled", multiprocess_mode="mostrecent")
BUILD_INFO = Gauge("citewell_build_info", "Version of this build", ["version"], multiprocess_mode="mostrecent")


def configure(level: str = "INFO") -> None:
    """Send events to stderr: JSON lines for machines, plain columns for a terminal.

    Called once by each entry point. Standard output stays free for a command's result.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=True)
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _json(event: object, **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


class Note:
    """Facts gathered while a step runs; written once, when it ends."""

    def __init__(self, **facts: Fact) -> None:
        self.facts: dict[str, Fact] = facts
        self.ms = 0.0

    def __call__(self, **facts: Fact) -> None:
        """Add facts: counts, sizes, ids, scores and money. Never the text of a question, passage or answer."""
        self.facts.update(facts)


@contextmanager
def step(name: str, timings: dict[str, float] | None = None, **facts: Fact) -> Generator[Note, None, None]:
    """Time a step as one log event and one observation.

    Args:
        name: The step's module name, e.g. ``"retrieve"``.
        timings: Where the milliseconds are added, under ``name``.
        **facts: What is known before it runs.

    Yields:
        A callable that adds what is known after it ran.
    """
    note = Note(**facts)
    started = time.perf_counter()
    outcome = "ok"
    try:
        yield note
    except CitewellError as error:
        outcome = error.code
        note(detail=error.detail or error.message)
        raise
    except Exception:
        outcome = "bug"
        raise
    except BaseException:  # cancelled, or the generator was closed: the client went away
        outcome = "cancelled"
        raise
    finally:
        seconds = time.perf_counter() - started
        STEP_SECONDS.labels(name).observe(seconds)
        note.ms = round(seconds * 1000, 3)
        if timings is not None:
            timings[name] = round(timings.get(name, 0.0) + note.ms, 3)
        log.info(name, **note.facts, outcome=outcome, ms=note.ms)
