"""Law 6: a search returns only what the caller may read, and returns k of it, or all that pass access lists, erasures and filters."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core import snapshot
from app.core.errors import FilterUnknown, InvalidRequest
from app.core.snapshot import Snapshot
from app.core.types import LOCAL, Caller, document_id
from app.core.words import words
from app.retrieve import FILES, Access, Dense, Retriever, lexical
from tests import milvus
from tests.indexes import BUILT_WITH, EMBEDDER, NOTES, embed, new, part

VOCABULARY = "audit backup canary delta export filter gateway index ledger model query release".split()
PEOPLE = ("ann", "bob", "*")


Lists = dict[str, frozenset[str] | None]
Side = Callable[[Path, Snapshot, Lists, Lists], tuple[Dense, int]]
"""Folder of indexes, snapshot, access lists as they were when it was published and as they are -> who searches it, and the lists' epoch."""


@pytest.fixture(scope="module", params=["files", pytest.param("milvus", marks=pytest.mark.slow)])
def side(request, tmp_path_factory) -> Iterator[Side]:
    """Whoever searches by vectors keeps the same laws."""
    if request.param == "files":
        yield lambda root, opened, before, now: (FILES, 1)
        return
    with milvus.running(tmp_path_factory.mktemp("milvus")) as lite:

        def filled(root: Path, opened: Snapshot, before: Lists, now: Lists) -> tuple[Dense, int]:
            books = milvus.Books()
            books.set(before)
            dense = lite.filled(root, opened, books)
            books.set({document: who for document, who in now.items() if who != before.get(document)})
            return dense, books.epoch

        yield filled


@dataclass(frozen=True)
class Doc:
    """A document of a made-up collection, as an in-memory model of it knows it."""

    text: str
    lang: str | None
    year: int | None
    readers: frozenset[str] | None
    before: frozenset[str] | None
    erased: bool
    dropped: bool

    @property
    def metadata(self) -> dict[str, object]:
        return {name: value for name, value in (("lang", self.lang), ("year", self.year)) if value is not None}


paragraphs = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=5).map(" ".join)
documents = st.builds(
    Doc,
    text=st.lists(paragraphs, min_size=1, max_size=3).map("\n\n".join),
    lang=st.sampled_from(["en", "de", None]),
    year=st.sampled_from([2020, 2021, None]),
    readers=st.none() | st.frozensets(st.sampled_from(PEOPLE)),
    before=st.none() | st.frozensets(st.sampled_from(PEOPLE)),
    erased=st.booleans(),
    dropped=st.booleans(),
)


def made(root: Path, segments: list[list[Doc]]) -> tuple[Snapshot, dict[str, Doc]]:
    """Write a snapshot of some segments, some of whose documents it leaves out."""
    known: dict[str, Doc] = {}
    parts = []
    for number, held in enumerate(segments):
        texts = {f"s/{number}-{i}": doc.text for i, doc in enumerate(held)}
        known |= dict(zip(texts, held, strict=True))
        segment, _ = part(root, [new(uri, doc.text, metadata=doc.metadata) for uri, doc in zip(texts, held, strict=True)], texts)
        parts.append((segment, np.array([not doc.dropped for doc in held])))
    return snapshot.compose(root, "docs", parts, built_with=BUILT_WITH, notes=NOTES), known


@given(
    segments=st.lists(st.lists(documents, min_size=1, max_size=6), min_size=1, max_size=4),
    question=paragraphs,
    k=st.integers(1, 30),
    principals=st.sets(st.sampled_from(PEOPLE[:2])),
    admin=st.booleans(),
    required=st.booleans(),
    filters=st.sampled_from([{}, {"lang": "en"}, {"lang": ["en", "de"]}, {"year": 2020, "lang": "de"}]),
    way=st.sampled_from(["dense", "bm25", "fused"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_law_6_k_readable_chunks_or_all_of_them(
    side, tmp_path_factory, segments, question, k, principals, admin, required, filters, way
):
    root = tmp_path_factory.mktemp("law")
    opened, known = made(root, segments)
    before = {document_id("docs", uri): doc.before for uri, doc in known.items()}
    now = {document_id("docs", uri): doc.readers for uri, doc in known.items()}
    dense, epoch = side(root, opened, before, now)
    caller = Caller("default", "key_1", tuple(principals), frozenset({"admin"} if admin else {"search"}))
    access = Access(
        erasure_epoch=1,
        acl_epoch=epoch,
        erased=frozenset(document_id("docs", uri) for uri, doc in known.items() if doc.erased),
        readers={document_id("docs", uri): doc.readers for uri, doc in known.items() if doc.readers is not None}
        if required
        else None,
    )

    def may(doc: Doc) -> bool:
        reads = admin or not required or bool((doc.readers or frozenset()) & {*principals, "*"})
        return reads and not doc.erased and not doc.dropped

    def passes(doc: Doc) -> bool:
        wanted = {name: value if isinstance(value, list) else [value] for name, value in filters.items()}
        return all(doc.metadata.get(name) in values for name, values in wanted.items())

    readable = {uri: doc for uri, doc in known.items() if may(doc)}
    retriever = Retriever(opened, embed, EMBEDDER, dense=dense)
    if any(not any(name in doc.metadata for doc in readable.values()) for name in filters):
        with pytest.raises(FilterUnknown):  # a field that only others' documents have is no field
            retriever.readable(access, caller, filters)
        return
    hits = retriever.search(question, k=k, within=retriever.readable(access, caller, filters), way=way)

    found = Counter((hit.chunk.document.uri, hit.chunk.text) for hit in hits)
    exist = Counter((uri, text) for uri, doc in readable.items() if passes(doc) for text in doc.text.split("\n\n"))
    assert found <= exist
    if way == "bm25":
        exist = Counter({key: n for key, n in exist.items() if set(words(key[1])) & set(words(question))})
    assert sum(found.values()) == min(k, sum(exist.values()))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@given(
    held=st.lists(documents, min_size=2, max_size=10),
    cut=st.integers(1, 9),
    question=paragraphs,
    erase=st.sets(st.integers(0, 9)),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_found_does_not_depend_on_how_documents_lie_in_segments(side, tmp_path_factory, held, cut, question, erase):
    folder = tmp_path_factory.mktemp("law")
    held = [Doc(doc.text, None, None, None, None, False, False) for doc in held]
    whole, _ = made(folder, [held])
    names = [document.uri for document in whole.documents()]
    left = {document_id("docs", names[i]) for i in erase if i < len(names)}
    texts = {name: doc.text for name, doc in zip(names, held, strict=True)}
    pieces = [list(texts)[start : start + cut] for start in range(0, len(texts), cut)]
    split = snapshot.compose(
        folder,
        "docs",
        [part(folder, [new(u, texts[u]) for u in some], texts) for some in pieces],
        built_with=BUILT_WITH,
        notes=NOTES,
    )
    without = snapshot.compose(
        folder,
        "docs",
        [part(folder, [new(u, texts[u]) for u in texts if document_id("docs", u) not in left], texts)],
        built_with=BUILT_WITH,
        notes=NOTES,
    )

    def search(opened: Snapshot, erased: set[str]) -> list[tuple[str, int, float]]:
        retriever = Retriever(opened, embed, EMBEDDER, dense=side(folder, opened, {}, {})[0])
        within = retriever.readable(Access(1, 0, frozenset(erased)), LOCAL, {})
        return [(h.chunk.document.uri, h.chunk.start, round(h.score, 4)) for h in retriever.search(question, k=50, within=within)]

    assert split.snapshot_id == whole.snapshot_id
    assert search(split, set()) == search(whole, set())
    assert search(whole, left) == search(split, left) == search(without, set())  # an erased document leaves no trace in a score


@given(held=st.lists(documents, min_size=1, max_size=8), question=paragraphs)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_lexical_score_is_bm25(tmp_path_factory, held, question):
    opened, _ = made(tmp_path_factory.mktemp("law"), [[Doc(d.text, None, None, None, None, False, False) for d in held]])
    chunks = [words(text) for doc in held for text in doc.text.split("\n\n")]
    mean = sum(map(len, chunks)) / len(chunks)

    def bm25(chunk: list[str]) -> float:
        total = whole = 0.0
        for word in words(question):
            holding = sum(word in other for other in chunks)
            worth = math.log(1 + (len(chunks) - holding + 0.5) / (holding + 0.5))
            tf = chunk.count(word)
            total += worth * tf * (lexical.K1 + 1) / (tf + lexical.K1 * (1 - lexical.B + lexical.B * len(chunk) / mean))
            whole += worth
        return total / whole

    retriever = Retriever(opened, embed, EMBEDDER)
    found = lexical.scores(opened, words(question), retriever.readable(Access(), LOCAL, {}))
    np.testing.assert_allclose(found, [bm25(chunk) for chunk in chunks], rtol=1e-4)


def test_filters_are_compared_with_their_types(side, tmp_path: Path):
    texts = {"a": "audit", "b": "audit", "c": "audit"}
    metadata = {"a": {"n": 1, "tags": ["x", "y"]}, "b": {"n": True, "tags": []}, "c": {"n": "1", "deep": {"n": 1}}}
    opened = snapshot.compose(
        tmp_path,
        "docs",
        [part(tmp_path, [new(u, t, metadata=metadata[u]) for u, t in texts.items()], texts)],
        built_with=BUILT_WITH,
        notes=NOTES,
    )
    retriever = Retriever(opened, embed, EMBEDDER, dense=side(tmp_path, opened, {}, {})[0])

    def found(**filters) -> set[str]:
        within = retriever.readable(Access(), LOCAL, filters)
        return {hit.chunk.document.uri for hit in retriever.search("audit", k=10, within=within)}

    assert (found(n=1), found(n=1.0), found(n=True), found(n="1")) == ({"a"}, {"a"}, {"b"}, {"c"})
    assert found(n=[1, "1"]) == {"a", "c"}
    assert found(tags="y") == {"a"}
    assert found(tags="z") == set()
    with pytest.raises(InvalidRequest, match=r"filters\.tags"):
        found(tags=1)
    for unknown in ("deep", "uri", "nope"):
        with pytest.raises(FilterUnknown, match=unknown):
            found(**{unknown: "x"})


def test_an_index_of_another_embedder_or_other_words_is_refused(tmp_path: Path):
    opened, _ = made(tmp_path, [[Doc("audit", None, None, None, None, False, False)]])

    from app.core.errors import IndexUnusable

    with pytest.raises(IndexUnusable, match=r"[Ii]ngest"):
        Retriever(opened, embed, {**EMBEDDER, "name": "other"})
    spoken = snapshot.compose(
        tmp_path,
        "docs",
        list(zip(opened.segments, opened.kept, strict=True)),
        built_with={**BUILT_WITH, "words": "words/0"},
        notes=NOTES,
    )
    with pytest.raises(IndexUnusable, match="words/0"):
        Retriever(spoken, embed, EMBEDDER)
