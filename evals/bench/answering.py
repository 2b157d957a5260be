"""Answers over HTTP at several numbers of callers, over a bare LiteLLM call to the same instant provider; memory on the way."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import orjson

from app.core import snapshot
from app.core.tokens import counter
from app.model.prices import open_book
from app.pack import pack
from app.prompt import load_prompt
from app.retrieve import Retriever
from evals.bench import children
from evals.bench.children import Measurer, Server
from evals.bench.figures import Load, Row, middle, timed, whole
from evals.bench.searching import flat
from evals.bench.workshop import Workshop, grown

MODEL = "openai/bench"
COLLECTION = "docs"
CHUNKS = 5_000
PROMPTS = 300
REQUESTS = {1: 100, 8: 200, 32: 350}
"""Callers -> requests a round. Three rounds make 1,950."""
EARLY, LATE = 2_000, 20_000
"""Memory is read after so many answers."""
_EARLY_ROUNDS = 3
_WARM = 40


@dataclass
class Taken:
    """What was measured, by callers."""

    ours: dict[int, list[Load]] = field(default_factory=lambda: {callers: [] for callers in REQUESTS})
    bare: dict[int, list[Load]] = field(default_factory=lambda: {callers: [] for callers in REQUESTS})
    cpu_ms: dict[int, list[float]] = field(default_factory=lambda: {callers: [] for callers in REQUESTS})
    bare_cpu_ms: dict[int, list[float]] = field(default_factory=lambda: {callers: [] for callers in REQUESTS})
    embedding_ms: list[float] = field(default_factory=list)
    search_ms: list[float] = field(default_factory=list)
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    sustained: Load | None = None


class Rig:
    """The server, its provider, the client and the bare caller, running."""

    def __init__(self, server: Server, client: Measurer, bare: Measurer) -> None:
        self.server = server
        self._client = client
        self._bare = bare
        self.asked = 0
        self._called = 0

    def ours(self, callers: int, requests: int) -> tuple[Load, float]:
        """Ask questions that were not asked before; return what was seen, and the server's CPU milliseconds an answer."""
        before = self.server.cpu_s
        load = whole(self._client(callers=callers, first=self.asked, requests=requests))
        self.asked += requests
        return load, (self.server.cpu_s - before) / requests * 1000

    def bare(self, callers: int, requests: int) -> tuple[Load, float]:
        """Call the provider without us; the same pair."""
        before = self._bare.cpu_s
        load = whole(self._bare(callers=callers, first=self._called, requests=requests))
        self._called += requests
        return load, (self._bare.cpu_s - before) / requests * 1000

    def fill(self, total: int, *, callers: int = 32) -> Load | None:
        """Ask until ``total`` questions were asked."""
        return self.ours(callers, total - self.asked)[0] if total > self.asked else None


def measure(workshop: Workshop, *, rounds: int, late: int = LATE) -> list[Row]:
    """Measure rounds of every number of callers, then go on until ``late`` answers were given."""
    taken = Taken()
    with running(workshop) as rig:
        _remember(rig, taken, "after start")
        for number in range(max(rounds, 1)):
            if number == _EARLY_ROUNDS:
                _early(rig, taken, late)
            _round(rig, taken, workshop, number)
        _early(rig, taken, late)
        taken.sustained = rig.fill(late)
        _remember(rig, taken, f"after {rig.asked:,} answers")
    return _rows(taken)


@contextmanager
def running(workshop: Workshop, **settings: str) -> Iterator[Rig]:
    """Start everything, warmed up."""
    folder = workshop.folder
    indexed = grown(workshop, COLLECTION, CHUNKS)
    prompts = folder / "prompts.jsonl"
    retriever = Retriever(indexed, workshop.embedder, indexed.manifest["embedder"])
    _render(workshop, retriever, prompts)
    bodies = folder / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(orjson.dumps({"question": text}) for text in workshop.questions))
    open_book(workshop.settings).set(MODEL, input=Decimal("0.15"), output=Decimal("0.6"), since=date(2026, 1, 1))
    with ExitStack() as stack:
        url = stack.enter_context(children.provider(folder))
        bare = stack.enter_context(children.measurer("bare", url, str(prompts), folder=folder))
        chosen = {"CITEWELL_MODEL": MODEL, "CITEWELL_MODEL_BASE_URL": url, **workshop.environment, **settings}
        server = stack.enter_context(children.server(folder, chosen))
        client = stack.enter_context(children.measurer("load", server.url + "/v1/answers", str(bodies), folder=folder))
        server.wait_for_model()
        bare(callers=4, first=0, requests=_WARM)
        client(callers=4, first=LATE, requests=_WARM)  # questions that are not asked again
        yield Rig(server, client, bare)


def _round(rig: Rig, taken: Taken, workshop: Workshop, number: int) -> None:
    """Take turns, the other one first in every second round."""
    for callers, requests in REQUESTS.items():
        turns = ((rig.bare, taken.bare, taken.bare_cpu_ms), (rig.ours, taken.ours, taken.cpu_ms))
        for run, loads, cpu in turns if number % 2 == 0 else turns[::-1]:
            load, cpu_ms = run(callers, requests)
            loads[callers].append(load)
            cpu[callers].append(cpu_ms)
    asked = workshop.questions[number * PROMPTS : number * PROMPTS + 50]
    index = flat(snapshot.open_current(workshop.settings.indexes_dir, COLLECTION))
    vectors = [workshop.embedder([text]) for text in asked]
    taken.embedding_ms += timed(lambda i: workshop.embedder([asked[i]]), range(len(asked)))
    taken.search_ms += timed(lambda i: index.search(vectors[i], workshop.settings.retrieve.candidates), range(len(asked)))


def _render(workshop: Workshop, retriever: Retriever, target: Path) -> None:
    """Write real prompts, a line each: the bare call sends what the server would."""
    template = load_prompt(workshop.settings.prompts_dir, "answer")
    lines = []
    for text in workshop.questions[:PROMPTS]:
        hits = retriever.search(text, k=workshop.settings.retrieve.candidates)
        passages = pack(hits, budget=template.front.budget, most=workshop.settings.pack.passages, count=counter())
        messages = template.render(text, passages, today=date(2026, 1, 1))
        lines.append(orjson.dumps([{"role": message.role, "content": message.content} for message in messages]))
    target.write_bytes(b"\n".join(lines))


def _early(rig: Rig, taken: Taken, late: int) -> None:
    if rig.asked < EARLY <= late:
        rig.fill(EARLY)
        _remember(rig, taken, f"after {rig.asked:,} answers")


def _remember(rig: Rig, taken: Taken, when: str) -> None:
    memory = rig.server.memory_mb
    if memory is not None:
        taken.memory[when] = memory


def _rows(taken: Taken) -> list[Row]:
    rows: list[Row] = []
    for callers in REQUESTS:
        ours, bare, runs = taken.ours[callers], taken.bare[callers], len(taken.ours[callers])
        named = f"answer, {callers} caller{'s' if callers > 1 else ''}"
        for name, mine, base in (
            ("p50, ms", [load.p50_ms for load in ours], [load.p50_ms for load in bare]),
            ("p95, ms", [load.p95_ms for load in ours], [load.p95_ms for load in bare]),
            ("a second", [load.rate for load in ours], [load.rate for load in bare]),
            ("CPU ms each", taken.cpu_ms[callers], taken.bare_cpu_ms[callers]),
        ):
            ratio = middle([a / b for a, b in zip(mine, base, strict=True)])
            aim = ">= .75" if (callers, name) == (32, "a second") else ""
            rows.append(
                Row(f"{named}, {name}", f"{middle(mine):.1f}", f"{middle(base):.1f} (LiteLLM)", f"{ratio:.2f}", aim, runs)
            )
    embedding, search = middle(taken.embedding_ms), middle(taken.search_ms)
    alone, call = middle([load.p50_ms for load in taken.ours[1]]), middle([load.p50_ms for load in taken.bare[1]])
    over = alone - call - embedding - search
    parts = f"{call:.1f} + {embedding:.1f} + {search:.1f} (call, embedding, search)"
    rows.append(Row("answer, 1 caller, p50 over its parts, ms", f"{over:.1f}", parts, "", "<= 5", len(taken.ours[1])))
    if taken.sustained:
        load = taken.sustained
        rows.append(Row(f"answer, 32 callers, {load.requests:,} on end, a second", f"{load.rate:.1f}"))
    for when, (rss, pss) in taken.memory.items():
        rows.append(Row(f"memory {when}, MB RSS (PSS)", f"{rss:.0f} ({pss:.0f})", aim="< 650"))
    return rows
