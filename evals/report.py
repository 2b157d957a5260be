"""A result -> a table for people, JSON for machines, files to keep."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from app.core import terminal
from evals.gate import Gate
from evals.metrics import Measure
from evals.run import Result

_WORDS = {
    "hit": "evidence among the passages",
    "ndcg@10": "how well documents are ranked (nDCG@10)",
    "right": "right, of answered answerable cases",
    "cited": "right and cited, of the same",
    "words": "words of an answer, median",
    "right_overall": "right, of all answerable cases",
    "abstention_precision": "unanswerable, of abstained",
    "abstention_recall": "abstained, of unanswerable",
    "answerable_refused": "abstained, of answerable",
    "supported": "claims that the evidence carries",
    "unsupported": "claims that no evidence carries",
    "errors": "errors: no answer to score",
    "cost_usd": "cost in dollars, as billed by the price book",
    "p50_ms": "milliseconds, median",
    "p95_ms": "milliseconds, 95th percentile",
}
_SHOWN = 10


def as_json(result: Result, measures: dict[str, Measure], gate: Gate) -> dict[str, Any]:
    """Return a run as one document."""
    return {
        "suite": result.suite.name,
        "sha256": result.suite.sha256,
        "model": result.model,
        "release": result.release,
        "cases": len(result.scored),
        "answered_by": {"recordings": result.played, "model": len(result.called)},
        "measures": {name: one.as_json() for name, one in measures.items()},
        "errors": [{"case": s.case, "code": s.code, "message": s.message} for s in result.scored if s.status is None],
        "floors": [str(floor) for floor in result.suite.floors],
        "broken": [str(floor) for floor in gate.broken],
        "untaken": [str(floor) for floor in gate.untaken],
        "verdict": gate.verdict,
        "seconds": result.seconds,
    }


def as_table(result: Result, measures: dict[str, Measure], gate: Gate) -> str:
    """Return a run as people read it."""
    floors = {floor.metric: f"{floor.sign} {floor.limit:g}" for floor in result.suite.floors}
    marks = {floor.metric: "BROKEN" for floor in gate.broken} | {floor.metric: "not taken" for floor in gate.untaken}
    rows = [
        (name, _value(one), _interval(one), one.of, floors.get(name, ""), marks.get(name, ""), _WORDS[name])
        for name, one in measures.items()
    ]
    release = result.release
    lines = [
        f"{result.suite.name} ({result.suite.sha256}): {len(result.scored)} cases, model {release['model']}, prompt {release['prompt']}, "
        f"{release['id']}",
        "",
        terminal.table(("measure", "value", "95 %", "of", "floor", "", "which is"), rows),
    ]
    if result.played or result.called:
        lines.append(f"\n{result.played} calls were played from recordings, {len(result.called)} were answered by the model.")
    lines += _errors(result)
    wrong = [s.case for s in result.scored if s.answerable and s.status in ("answered", "degraded") and not s.right]
    refused = [s.case for s in result.scored if s.answerable and s.status == "abstained"]
    answered = [s.case for s in result.scored if not s.answerable and s.status in ("answered", "degraded")]
    for what, cases in (
        ("not right", wrong),
        ("refused though answerable", refused),
        ("answered though not answerable", answered),
    ):
        if cases:
            more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
            lines.append(f"{what}: {' '.join(cases[:_SHOWN])}{more}")
    return "\n".join([*lines, "", _verdict(gate)])


def save(result: Result, measures: dict[str, Measure], gate: Gate, folder: Path) -> None:
    """Write ``report.json`` and ``cases.jsonl``, each case with its answer and scores."""
    folder.mkdir(parents=True, exist_ok=True)
    report = orjson.dumps(as_json(result, measures, gate), option=orjson.OPT_INDENT_2)
    (folder / "report.json").write_bytes(report + b"\n")
    (folder / "cases.jsonl").write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in result.scored))


def _errors(result: Result) -> list[str]:
    failed = [s for s in result.scored if s.status is None]
    if not failed:
        return []
    by_code: dict[tuple[str, str], list[str]] = {}
    for one in failed:
        by_code.setdefault((one.code or "", one.message), []).append(one.case)
    lines = [f"\n{len(failed)} of {len(result.scored)} cases ended in an error, and were not scored:"]
    return [*lines, *(f"  {len(cases)} x {code}: {message} ({cases[0]} …)" for (code, message), cases in by_code.items())]


def _verdict(gate: Gate) -> str:
    if gate.verdict == "pass":
        return "pass"
    why = [f"{gate.errors} errors"] if gate.errors else []
    why += [f"{floor} broke" for floor in gate.broken] + [f"{floor} could not be taken" for floor in gate.untaken]
    return f"{gate.verdict}: {', '.join(why)}"


def _value(one: Measure) -> str:
    return "-" if one.value is None else f"{one.value:.3f}".rstrip("0").rstrip(".") or "0"


def _interval(one: Measure) -> str:
    return "" if one.low is None or one.high is None else f"{one.low:.3g} - {one.high:.3g}"
