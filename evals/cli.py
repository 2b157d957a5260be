"""``citewell evals``: score suites and folders, record models, measure retrieval."""

from pathlib import Path

import click

from app.core import terminal
from app.core.config import CHECKOUT
from evals import recordings, report, retrieval
from evals.gate import judge
from evals.metrics import measure
from evals.run import run as run_suite
from evals.suite import find_suite, hash_of

GATE_FAILED = 3
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_MODEL = click.option("--model", help="Another model than the suite's: a name as in CITEWELL_MODEL.")
_LIMIT = click.option("--limit", type=click.IntRange(1), help="Only the first so many cases.")


@click.group()
def evals() -> None:
    """Score answers and retrieval against golden sets."""


@evals.command(epilog="Example: citewell evals run smoke --out var/evals/today")
@click.argument("name", metavar="SUITE|FOLDER")
@_MODEL
@_LIMIT
@click.option("--live", is_flag=True, help="Ask the real model every time, and pay for it; the ledger has the rows.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Also write report.json and cases.jsonl there.")
@_JSON
@click.pass_context
def run(
    context: click.Context, name: str, model: str | None, limit: int | None, live: bool, out: Path | None, as_json: bool
) -> None:
    """Score SUITE (`smoke`, `answers`, or a suite's YAML file) or a FOLDER with cases.jsonl and documents.

    Exit code 3: a floor broke, a measure could not be taken, or a case ended in an error.
    """
    settings = terminal.settings()
    suite = terminal.run(lambda: find_suite(name))
    with terminal.Bars() as bars:
        result = terminal.run(lambda: run_suite(suite, settings, model=model, limit=limit, live=live, progress=bars.advance))
    measures = measure(result.scored)
    gate = judge(measures, suite.floors, result.scored)
    if out:
        terminal.run(lambda: report.save(result, measures, gate, out))
    if as_json:
        terminal.print_json(report.as_json(result, measures, gate))
    else:
        click.echo(report.as_table(result, measures, gate))
    if gate.verdict != "pass":
        context.exit(GATE_FAILED)


@evals.command(epilog="Example: citewell evals record answers")
@click.argument("name", metavar="SUITE")
@_MODEL
@_LIMIT
@_JSON
def record(name: str, model: str | None, limit: int | None, as_json: bool) -> None:
    """Ask the real model every question of SUITE, and keep what it says, so that `run` can replay it offline.

    It replaces what was recorded for this suite, model and prompt. What it costs stands in the ledger.
    """
    if CHECKOUT is None:
        raise terminal.CliError("Recordings belong to the repository: run this in a checkout.")
    settings = terminal.settings()
    suite = terminal.run(lambda: find_suite(name))
    if (model or suite.model or settings.model) == "extractive":
        raise terminal.CliError("The model `extractive` needs no recording: it is always there, and says the same each time.")
    with terminal.Bars() as bars:
        result = terminal.run(lambda: run_suite(suite, settings, model=model, limit=limit, live=True, progress=bars.advance))
    failed = [one for one in result.scored if one.status is None]
    if failed:
        first = failed[0]
        raise terminal.CliError(
            f"{len(failed)} of {len(result.scored)} calls failed, so nothing was recorded. The first: {first.message} ({first.code})"
        )
    path = recordings.write(suite.name, result.release["model"], result.release["prompt"], result.called)
    shown = path.relative_to(recordings.FOLDER).as_posix()
    cost = sum(one.cost_nano for one in result.scored) / 1e9
    if as_json:
        terminal.print_json(
            {"suite": suite.name, "model": result.model, "file": shown, "calls": len(result.called), "cost_usd": cost}
        )
    else:
        click.echo(f"evals/data/recordings/{shown}: {len(result.called)} calls of {result.release['model']}, ${cost:g}")


@evals.group(epilog="Example: citewell evals bench retrieval path/to/beir-folder")
def bench() -> None:
    """Measure one part alone."""


@bench.command(name="retrieval", epilog="Example: citewell evals bench retrieval path/to/beir-folder --json")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_JSON
def bench_retrieval(folder: Path, as_json: bool) -> None:
    """Score retrieval on a BEIR FOLDER: corpus.jsonl, queries.jsonl, qrels/test.tsv."""
    settings = terminal.settings()
    with terminal.Bars() as bars:
        found = terminal.run(lambda: retrieval.run(folder, settings, progress=bars.advance))
    if as_json:
        terminal.print_json({way: {name: one.value for name, one in measures.items()} for way, measures in found.items()})
        return
    names = list(next(iter(found.values())))
    rows = [(way, *(f"{m.value:.3f} ({m.low:.3g} - {m.high:.3g})" for m in measures.values())) for way, measures in found.items()]
    click.echo(terminal.table(("way", *names), rows))
    queries = next(iter(found.values()))["ndcg@10"].of
    click.echo(f"\n{folder.resolve().name} ({hash_of(folder)}): {queries} queries; in brackets the 95 % interval.")
