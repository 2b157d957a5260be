"""``citewell prices``: what a token costs."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import click

from app.core import terminal
from app.model.prices import open_book

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")


class Dollars(click.ParamType[Decimal]):
    """A decimal number, taken exactly."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read it without going through a float."""
        try:
            return Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number of dollars", param, ctx)


@click.group()
def prices() -> None:
    """Look at the price book, and set prices."""


@prices.command("list", epilog="Example: citewell prices list")
@_JSON
def list_(as_json: bool) -> None:
    """List every price, in dollars per million tokens."""
    book = terminal.run(lambda: open_book(terminal.settings()).rows())
    rows = [
        {
            "model": row.model,
            "since": row.since.isoformat(),
            "input": f"{row.input:f}",
            "output": f"{row.output:f}",
            "sha256": row.sha256,
        }
        for name in sorted(book)
        for row in book[name]
    ]
    if as_json:
        terminal.print_json({"prices": rows})
    else:
        head = ["model", "since", "input", "output"]
        click.echo(terminal.table(head, [[row[name] for name in head] for row in rows]))


@prices.command("set", epilog="Example: citewell prices set openai/gpt-5-mini --input 0.25 --output 2")
@click.argument("model")
@click.option("--input", "input_", type=Dollars(), required=True, help="Dollars per million prompt tokens.")
@click.option("--output", type=Dollars(), required=True, help="Dollars per million completion tokens.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="From which day (UTC); today when not given.")
def set_(model: str, input_: Decimal, output: Decimal, since: datetime | None) -> None:
    """Set what MODEL costs, in dollars per million tokens. A running server takes it up at its next call."""
    day = since.date() if since else datetime.now(UTC).date()
    row = terminal.run(lambda: open_book(terminal.settings()).set(model, input=input_, output=output, since=day))
    click.echo(f"{row.model} since {row.since}: {row.input:f} in, {row.output:f} out (dollars per million tokens)")
