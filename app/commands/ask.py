"""``citewell ask`` and ``citewell search``: the same paths as the server's, in this process."""

import asyncio
import secrets
from typing import Any

import click
import orjson

from app import wiring
from app.answer import answer
from app.core import terminal
from app.core.config import Settings
from app.core.tokens import counter
from app.core.types import LOCAL, Ask, Hit
from app.events import place
from app.guard import admit
from app.wiring import needs_local_server, open_service, start_local_server

_COLLECTION = click.option("--collection", default="docs", show_default=True, help="The collection.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")
_WEAK = {"partial": "partly supported", "unsupported": "no source", "unverified": "not checked"}


@click.command(epilog='Example: citewell ask "How long are audit logs kept?" --stream')
@click.argument("question")
@_COLLECTION
@click.option("--stream", is_flag=True, help="Print sentences as they are written and checked.")
@_JSON
def ask(question: str, collection: str, stream: bool, as_json: bool) -> None:
    """Ask QUESTION and print the answer with its checked citations."""
    settings = terminal.settings()
    body = terminal.run(
        lambda: asyncio.run(_ask(settings, Ask(question, collection, stream=stream), echo=stream and not as_json))
    )
    if as_json:
        terminal.print_json(body)
    else:
        click.echo(_shown(orjson.loads(orjson.dumps(body)), streamed=stream))


@click.command(epilog='Example: citewell search "retention of logs" --k 5')
@click.argument("query")
@_COLLECTION
@click.option("--k", type=click.IntRange(1, 100), default=10, show_default=True, help="How many passages.")
@_JSON
def search(query: str, collection: str, k: int, as_json: bool) -> None:
    """Find the passages nearest to QUERY."""
    settings = terminal.settings()
    asked, _ = terminal.run(lambda: admit(Ask(query, collection), settings.limits, counter()))
    hits: list[Hit] = terminal.run(lambda: wiring.search(settings, asked, LOCAL, k=k))
    if as_json:
        terminal.print_json({"hits": [_hit(hit) for hit in hits]})
        return
    for hit in hits:
        where = " > ".join((hit.chunk.document.title, *hit.chunk.heading))
        click.secho(f"{hit.score:.3f}  {where}", bold=True)
        click.echo(f"       {hit.chunk.document.uri}")
        click.echo("       " + " ".join(hit.chunk.text.split())[:300])


async def _ask(settings: Settings, asked: Ask, *, echo: bool) -> dict[str, Any]:
    server = start_local_server(settings) if needs_local_server(settings) else None
    async with open_service(settings, server=server) as service:
        events = answer(asked, caller=LOCAL, using=service.answering, request_id="cli_" + secrets.token_hex(8))
        async for event in events:
            match event.type:
                case "answer.delta" if echo:
                    click.echo(event.data["text"], nl=False)
                case "answer.failed":
                    problem = event.data["problem"]
                    raise terminal.CliError(f"{problem['detail']} ({problem['code']})")
                case "answer.completed":
                    body: dict[str, Any] = event.data["answer"]
    return body


def _shown(body: dict[str, Any], *, streamed: bool) -> str:
    lines = ["" if streamed else body["answer"], ""]
    if body["status"] == "abstained":
        lines.append(f"(no answer: {body['abstained_because'].replace('_', ' ')}; what came closest:)")
    for citation in body["citations"]:
        where = " > ".join((citation["title"], *(h for h in citation["heading"] if h != citation["title"])))
        page = f", page {citation['page']}" if citation["page"] else ""
        quote = " ".join(citation["quote"].split())
        lines.append(f"[{citation['n']}] {where}{page}  ({citation['uri']}, characters {citation['start']}-{citation['end']})")
        lines.append(f"    “{quote if len(quote) <= 240 else quote[:240] + '…'}”")
    for claim in body["claims"]:
        if claim["support"] in _WEAK:
            lines.append(f"{_WEAK[claim['support']]}: {claim['text']}")
    lines += [f"warning: {warning['message']}" for warning in body["warnings"]]
    usage, release = body["usage"], body["release"]
    checked = sum(claim["support"] in ("verbatim", "entailed") for claim in body["claims"])
    cost = f"{usage['cost_usd']:.9f}".rstrip("0").rstrip(".")
    lines.append(
        f"{body['status']}: {checked} of {len(body['claims'])} sentences supported, {usage['total_tokens']} tokens, "
        f"{cost} dollars, {body['timings_ms']['total']:.0f} ms, {release['prompt']}, {release['id']}, {body['id']}"
    )
    return "\n".join(lines)


def _hit(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    return {**place(chunk), "page": chunk.page, "start": chunk.start, "end": chunk.end, "text": chunk.text, "score": hit.score}
