"""A folder of golden cases -> shares, through the product: ingest, ask each question, score. ``python -m evals.answers FOLDER``.

A folder holds ``cases.jsonl`` and ``documents.jsonl``, or else the documents as files. The index and the ledger are temporary.
"""

import asyncio
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson
from tqdm import tqdm

from app.answer import answer
from app.core import telemetry
from app.core.config import Settings, load_settings
from app.core.types import LOCAL, Ask, Message
from app.wiring import Service, open_service
from evals.measure import Outcome, cited, right, shares, words
from ingest.build import build

COLLECTION = "evals"
_NOT_DOCUMENTS = ("README*", "LICENSE*", "cases.jsonl")


def folder_hash(folder: Path) -> str:
    """Return a hash of a folder's files, so that a figure says what it was taken on."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def run(folder: Path, settings: Settings) -> dict[str, Any]:
    """Score a folder with the model that the settings name, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="citewell-evals-") as name:
        home = Path(name)
        if settings.cache_dir.is_dir():
            (home / "cache").symlink_to(settings.cache_dir)  # the exported embedder need not be made again
        own = settings.model_copy(
            update={"home": home, "indexes_dir": home / "indexes", "database_url": f"sqlite:///{home / 'citewell.db'}"}
        )
        lone = folder / "documents.jsonl"
        build(lone if lone.exists() else folder, collection=COLLECTION, settings=own, exclude=_NOT_DOCUMENTS)
        cases = [json.loads(line) for line in (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines() if line.strip()]
        outcomes = asyncio.run(_ask_all(cases, own))
    return {"folder": folder.name, "sha256": folder_hash(folder), "model": settings.model, **shares(outcomes).as_json()}


async def _ask_all(cases: list[dict[str, Any]], settings: Settings) -> list[Outcome]:
    async with open_service(settings) as service:
        return [await _ask(case, service) for case in tqdm(cases, desc="asking", unit=" cases", disable=not sys.stderr.isatty())]


async def _ask(case: dict[str, Any], service: Service) -> Outcome:
    turns = tuple(Message(turn["role"], turn["content"]) for turn in case.get("messages") or ())
    began = time.perf_counter()
    body: dict[str, Any] | None = None
    async for event in answer(
        Ask(case["question"], COLLECTION, turns), caller=LOCAL, using=service.answering, request_id=f"eval_{case['id']}"
    ):
        if event.type == "answer.completed":
            body = orjson.loads(orjson.dumps(event.data["answer"]))
    ms = (time.perf_counter() - began) * 1000
    if body is None:
        return Outcome(case["answerable"], None)
    snapshot = (await service.live.serving(COLLECTION, LOCAL)).retriever.snapshot
    texts = {citation["revision"]: snapshot.texts.read(citation["revision"]) for citation in body["citations"]}
    good = case["answerable"] and right(body["answer"], case["answers"])
    return Outcome(
        case["answerable"],
        body["status"],
        len(words(body["answer"])),
        good,
        good and cited(body["citations"], texts, case.get("evidence") or ()),
        ms,
    )


if __name__ == "__main__":
    telemetry.configure("WARNING")
    effective = load_settings()
    for name in sys.argv[1:]:
        sys.stdout.write(json.dumps(run(Path(name), effective)) + "\n")
