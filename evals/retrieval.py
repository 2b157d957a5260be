"""A BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv) -> nDCG@10 and recall of the product's retrieval, by way of searching."""

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.core.config import Settings
from app.core.errors import Misconfigured
from app.core.types import Hit, Message
from app.retrieve import condense
from app.retrieve.retriever import Way
from app.wiring import open_retriever
from evals.home import temporary_home
from evals.measure import ndcg, recall
from evals.metrics import Measure, centre, mean
from ingest.build import build, silent
from ingest.load import Item, read
from ingest.reading import Progress

COLLECTION = "evals-retrieval"
_WAYS: tuple[Way, ...] = ("dense", "bm25", "fused")
_DOCUMENTS = 100
"""Documents ranked per query, for recall@100."""


class _Query(NamedTuple):
    """The last turn as it was typed, and the turns before it where there are any."""

    text: str
    messages: tuple[Message, ...]


def run(folder: Path, settings: Settings, *, progress: Progress = silent) -> dict[str, dict[str, Measure]]:
    """Index a folder's corpus in a temporary home, search for each judged query, and score the documents that come.

    Args:
        folder: A BEIR folder; its ``qrels/test.tsv`` says which documents are relevant, and how much.
        settings: Embedder, chunker and retrieval.
        progress: Told how far the work is.

    Raises:
        Misconfigured: The folder is not one, or its queries and judgements do not belong together.
    """
    queries, judged = _queries(folder), _judgements(folder)
    asked = [name for name in queries if any(gain > 0 for gain in judged.get(name, {}).values())]
    if not asked:
        raise Misconfigured(f"{folder.name}: no query of queries.jsonl has a relevant document in qrels/test.tsv.")
    with temporary_home(settings) as own:
        build(folder / "corpus.jsonl", collection=COLLECTION, settings=own, progress=progress)
        retriever = open_retriever(own, COLLECTION)
        names, pairs = _names(folder / "corpus.jsonl", own), [(queries[q].text, judged[q]) for q in asked]
        scores: dict[str, dict[str, Measure]] = {
            way: _scored(partial(retriever.search, way=way), names, pairs, progress) for way in _WAYS
        }
        if retriever.rerank:
            scores["reranked"] = _scored(retriever.search, names, pairs, progress)
        if any(queries[q].messages for q in asked):
            alone = [(condense(queries[q].text, queries[q].messages), judged[q]) for q in asked]
            scores["condensed"] = _scored(retriever.search, names, alone, progress)
        return scores


def _scored(
    search: Callable[..., list[Hit]], names: Mapping[str, str], asked: Sequence[tuple[str, dict[str, float]]], progress: Progress
) -> dict[str, Measure]:
    found: dict[str, list[float]] = {"ndcg@10": [], "recall@10": [], "recall@100": [], "ms": []}
    for query, gains in asked:
        began = time.perf_counter()
        ranked = _documents(search, names, query)
        found["ms"].append((time.perf_counter() - began) * 1000)
        found["ndcg@10"].append(ndcg(ranked, gains))
        found["recall@10"].append(recall(ranked, gains, 10))
        found["recall@100"].append(recall(ranked, gains, 100))
        progress("searching", 1, len(asked))
    times = found.pop("ms")
    return {**{name: mean(values) for name, values in found.items()}, "p50_ms": centre(times, 50), "p95_ms": centre(times, 95)}


def _documents(search: Callable[..., list[Hit]], names: Mapping[str, str], query: str) -> list[str]:
    """Rank documents by their best chunk, taking more chunks until there are enough documents or no more chunks."""
    wanted = 2 * _DOCUMENTS
    while True:
        hits = search(query, k=wanted)
        ranked = list(dict.fromkeys(names[hit.chunk.document.uri] for hit in hits))
        if len(ranked) >= _DOCUMENTS or len(hits) < wanted:
            return ranked[:_DOCUMENTS]
        wanted *= 2


def _names(corpus: Path, settings: Settings) -> dict[str, str]:
    """Return the id by which judgements name a document, for each uri: a row may have a uri of its own."""
    found = read(corpus, source=None, exclude=(), max_bytes=settings.ingest.max_document_bytes)
    return {item.uri: str(item.row.get("_id", item.uri)) for item in found if isinstance(item, Item) and item.row}


def _queries(folder: Path) -> dict[str, _Query]:
    try:
        lines = (folder / "queries.jsonl").read_bytes().splitlines()
        rows: list[dict[str, Any]] = [orjson.loads(line) for line in lines if line.strip()]
        return {
            str(row["_id"]): _Query(
                str(row["text"]), tuple(Message(turn["role"], turn["content"]) for turn in row.get("messages") or ())
            )
            for row in rows
        }
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Misconfigured(f"{folder.name}/queries.jsonl can't be read: {error!r}. Each line needs `_id` and `text`.") from None


def _judgements(folder: Path) -> dict[str, dict[str, float]]:
    judged: dict[str, dict[str, float]] = {}
    try:
        with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                judged.setdefault(row["query-id"], {})[row["corpus-id"]] = float(row["score"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise Misconfigured(
            f"{folder.name}/qrels/test.tsv can't be read: {error!r}. It needs the columns query-id, corpus-id and score."
        ) from None
    return judged
