"""``citewell ledger``: what was answered, and what it cost."""

from typing import Any

import click
import orjson

from app.core import terminal
from app.core.db import ledger as queries
from app.core.db.engine import open_ledger, transaction
from app.core.db.tables import AnswerRow
from app.events import dollars, dollars_text

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")


@click.group()
def ledger() -> None:
    """Look at answers and what they cost."""


@ledger.command("list", epilog="Example: citewell ledger list --limit 20")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many, newest first.")
@_JSON
def list_(limit: int, as_json: bool) -> None:
    """List answers, newest first: also refused, failed and cancelled ones."""
    rows: list[AnswerRow] = terminal.run(lambda: _recent(limit))
    if as_json:
        terminal.print_json({"answers": [_row(row) for row in rows]})
        return
    head = ["created", "id", "status", "cost (USD)", "tokens", "model", "release"]
    lines = [
        [
            f"{row.created_at:%Y-%m-%d %H:%M:%S}",
            row.id,
            row.status if not row.code else f"{row.status}: {row.code}",
            dollars_text(row.cost_nano),
            row.prompt_tokens + row.completion_tokens,
            row.model or "-",
            row.release_id or "-",
        ]
        for row in rows
    ]
    click.echo(terminal.table(head, lines) if rows else "No answer yet. Ask with `citewell ask`.")


@ledger.command(epilog="Example: citewell ledger show ans_0123456789abcdef01234567")
@click.argument("answer_id")
@_JSON
def show(answer_id: str, as_json: bool) -> None:
    """Show one answer: what was asked, the prompt, the body, every upstream call."""
    found: dict[str, Any] | None = terminal.run(lambda: _show(answer_id))
    if found is None:
        raise terminal.CliError(f"There is no answer {answer_id}. `citewell ledger list` shows the newest.")
    if as_json:
        terminal.print_json(found)
        return
    for name in ("id", "status", "code", "created_at", "collection", "release", "prompt", "snapshot", "model", "cost_usd"):
        value = found[name]
        click.echo(f"{name:<12} {dollars_text(found['cost_nano']) if name == 'cost_usd' else value or '-'}")
    for title, key in (("Question", "question"), ("Answer", "text")):
        click.secho(f"\n{title}", bold=True)
        click.echo(found[key] or "-")
    click.secho("\nPrompt", bold=True)
    for message in found["rendered"] or []:
        click.echo(f"[{message['role']}]\n{message['content']}\n")
    click.secho("Calls", bold=True)
    for call in found["calls"]:
        click.echo(
            f"{call['id']}  {call['purpose']}  {call['model']}  attempt {call['attempt']}  "
            f"{call['state']} ({call['outcome'] or 'running'})  "
            f"{call['prompt_tokens']}+{call['completion_tokens']} tokens{' (estimated)' if call['estimated'] else ''}  "
            f"{dollars_text(call['cost_nano'])} of {dollars_text(call['reserved_nano'])} USD reserved"
        )


def _recent(limit: int) -> list[AnswerRow]:
    engine = open_ledger(terminal.settings())
    try:
        with transaction(engine, reads=True) as session:
            return queries.recent(session, limit)
    finally:
        engine.dispose()


def _show(answer_id: str) -> dict[str, Any] | None:
    engine = open_ledger(terminal.settings())
    try:
        with transaction(engine, reads=True) as session:
            found = queries.find(session, answer_id)
            if found is None:
                return None
            calls, passages = queries.calls(session, answer_id), queries.passages(session, answer_id)
            feedback = queries.feedback_on(session, answer_id)
    finally:
        engine.dispose()
    content = found.content
    return {
        **_row(found.answer),
        **{
            name: getattr(found.answer, name)
            for name in ("code", "collection", "prompt", "snapshot", "model", "cost_nano", "tenant")
        },
        "question": content.question,
        "messages": content.history,
        "today": content.today,
        "rendered": content.rendered,
        "text": content.text,
        "body": orjson.Fragment(content.body) if content.body else None,
        "problem": content.problem,
        "passages": [row.model_dump(exclude={"tenant", "answer_id"}) for row in passages],
        "calls": [{**row.model_dump(exclude={"tenant", "answer_id"}), "cost_usd": dollars(row.cost_nano)} for row in calls],
        "feedback": [row.model_dump(exclude={"tenant", "answer_id"}) for row in feedback],
    }


def _row(row: AnswerRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "cost_usd": dollars(row.cost_nano),
        "release": row.release_id,
        "created_at": row.created_at,
    }
