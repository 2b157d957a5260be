"""Milvus proposes, the database's flags decide: what it is asked, what it may get wrong, and what is done when it lacks something."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.core import numbers, snapshot
from app.core.config import MilvusSettings, load_effective
from app.core.errors import IndexUnusable, Misconfigured
from app.core.milvus import MOST_LISTED, Mark, Milvus, within
from app.core.snapshot import Snapshot
from app.core.types import Caller, document_id
from app.retrieve import Access, Retriever, dense
from app.retrieve.milvus import MilvusDense
from ingest import elsewhere
from ingest.elsewhere import Elsewhere
from tests import milvus
from tests.indexes import BUILT_WITH, EMBEDDER, NOTES, embed, new, part
from tests.milvus import Books, Lite

ANN = Caller("default", "key_1", ("ann",), frozenset({"search"}))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Lite]:
    with milvus.running(tmp_path_factory.mktemp("milvus")) as running:
        yield running


@pytest.fixture
def lite(server: Lite) -> Lite:
    server.empty()
    return server


@pytest.fixture
def fallbacks(monkeypatch) -> list[str]:
    """The snapshots that were searched in their files, because too little came back from Milvus."""
    seen: list[str] = []
    search = dense.Files.nearest

    def noted(self, snapshot, *args, **kwargs):
        seen.append(snapshot.snapshot_id)
        return search(self, snapshot, *args, **kwargs)

    monkeypatch.setattr(dense.Files, "nearest", noted)
    return seen


def made(
    root: Path, texts: dict[str, str], *, metadata: dict[str, dict] | None = None, dropped: tuple[str, ...] = ()
) -> Snapshot:
    held, _ = part(root, [new(uri, text, metadata=(metadata or {}).get(uri)) for uri, text in texts.items()], texts)
    parts = [(held, np.array([uri not in dropped for uri in texts]))]
    return snapshot.compose(root, "docs", parts, built_with=BUILT_WITH, notes=NOTES)


def ids(*uris: str) -> frozenset[str]:
    return frozenset(document_id("docs", uri) for uri in uris)


def found(retriever: Retriever, question: str, access: Access, *, k: int = 10, **filters) -> list[str]:
    mask = retriever.readable(access, ANN, filters)
    return [hit.chunk.document.uri for hit in retriever.search(question, k=k, within=mask, way="dense")]


def test_access_lists_and_filters_are_part_of_what_milvus_is_asked(tmp_path, lite, fallbacks):
    texts = {f"{n}": "audit" for n in range(300)}
    metadata = {uri: {"year": 2020 if uri == "7" else 2021} for uri in texts}
    opened, books = made(tmp_path, texts, metadata=metadata), Books()
    lists = {document_id("docs", uri): frozenset({"ann" if int(uri) < 9 else "bob"}) for uri in texts}
    books.set(lists)
    searched = lite.filled(tmp_path, opened, books)
    retriever, access = Retriever(opened, embed, EMBEDDER, dense=searched), Access(1, books.epoch, readers=lists)
    asked = []
    search = lite.server.call

    def noted(method, *args, **kwargs):
        came = search(method, *args, **kwargs)
        if method == "search":
            asked.append((kwargs["filter"], len(came[0])))
        return came

    lite.server.call = noted
    try:
        assert sorted(found(retriever, "audit", access)) == [str(n) for n in range(9)]
        assert found(retriever, "audit", access, year=2020.0) == ["7"]
    finally:
        del lite.server.call

    # 300 equal chunks, and the first search brings just those that may be read: they are chosen there, not here.
    assert [rows for _, rows in asked] == [9, 1]
    assert "readers" in asked[0][0]
    assert all(part in asked[1][0] for part in ("readers", "fields"))
    assert "ann" not in asked[0][0].replace("ARRAY_CONTAINS_ANY", "")
    assert fallbacks == []


def test_a_list_that_changed_since_holds_in_the_search_itself(tmp_path, lite, fallbacks):
    texts = {"a": "audit", "b": "audit audit", "c": "canary"}
    opened, books = made(tmp_path, texts), Books()
    lists = {**dict.fromkeys(ids("a", "c"), frozenset({"ann"})), **dict.fromkeys(ids("b"), frozenset({"bob"}))}
    books.set(lists)
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, books))
    before = Access(1, books.epoch, readers=lists)
    swapped = {**lists, **dict.fromkeys(ids("a"), None), **dict.fromkeys(ids("b"), frozenset({"ann"}))}
    books.set({document: swapped[document] for document in ids("a", "b")})
    after = Access(1, books.epoch, readers={document: who or frozenset() for document, who in swapped.items()})

    assert found(retriever, "audit", before) == ["a", "c"]
    assert found(retriever, "audit", after) == ["b", "c"]
    assert fallbacks == []

    Elsewhere(lite.server, tmp_path, "docs", books).bring(opened)  # as the next ingest does
    renewed = MilvusDense(lite.server, lambda _, epoch: frozenset())
    renewed.check(opened)
    assert found(Retriever(opened, embed, EMBEDDER, dense=renewed), "audit", after) == ["b", "c"]
    assert fallbacks == []


def test_two_names_of_one_number_show_nothing_that_may_not_be_read(tmp_path, lite, monkeypatch, fallbacks):
    monkeypatch.setattr(elsewhere, "principal_number", lambda name: 7)
    monkeypatch.setattr("app.retrieve.milvus.principal_number", lambda name: 7)
    texts = {f"{n}": "audit" for n in range(500)} | {"mine": "audit canary"}
    opened, books = made(tmp_path, texts), Books()
    lists = {document_id("docs", uri): frozenset({"bob"}) for uri in texts} | dict.fromkeys(ids("mine"), frozenset({"ann"}))
    books.set(lists)
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, books))

    assert found(retriever, "audit", Access(1, books.epoch, readers=lists), k=1) == ["mine"]
    assert fallbacks == []  # found by going deeper


def test_what_the_database_was_put_back_before_is_not_asked_of_milvus(tmp_path, lite):
    texts = {"a": "audit", "b": "audit"}
    opened, books = made(tmp_path, texts), Books()
    books.set(dict.fromkeys(ids("a", "b"), frozenset({"bob"})))
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, books))
    earlier = Access(1, books.epoch - 1, readers=dict.fromkeys(ids("a"), frozenset({"ann"})))

    assert found(retriever, "audit", earlier) == ["a"]


def test_lists_of_a_database_that_was_put_back_are_all_written_anew(tmp_path, lite, fallbacks):
    opened, later, now = made(tmp_path, {"a": "audit", "b": "audit"}), Books(), Books()
    later.set(dict.fromkeys(ids("a"), frozenset({"bob"})))
    later.set(dict.fromkeys(ids("b"), frozenset({"ann"})))
    lite.filled(tmp_path, opened, later)
    now.set(lists := dict.fromkeys(ids("a"), frozenset({"ann"})))
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, now))

    assert lite.vectors(opened).marks()[opened.segments[0].segment_id].acl_epoch == now.epoch
    assert found(retriever, "audit", Access(1, now.epoch, readers=lists)) == ["a"]
    assert fallbacks == []


def test_more_readers_and_values_than_a_row_holds(tmp_path, lite, fallbacks):
    many = frozenset(f"group:{n}" for n in range(MOST_LISTED + 1)) | {"ann"}
    opened, books = made(tmp_path, {"a": "audit"}, metadata={"a": {"tags": [str(n) for n in range(MOST_LISTED + 5)]}}), Books()
    books.set(dict.fromkeys(ids("a"), many))
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, books))

    assert found(retriever, "audit", Access(1, books.epoch, readers=dict.fromkeys(ids("a"), many)), tags="1027") == ["a"]
    assert fallbacks == []


def test_where_milvus_returns_too_little_the_files_are_searched(tmp_path, lite, fallbacks):
    opened, books = made(tmp_path, {"a": "audit", "b": "audit", "c": "audit"}), Books()
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, books))
    lite.vectors(opened).remove(within("document", ids("a")))  # as an approximate index may lose one

    assert sorted(found(retriever, "audit", Access())) == ["a", "b", "c"]
    assert fallbacks == [opened.snapshot_id]


def test_the_same_hits_with_the_same_scores_as_from_the_files(tmp_path, lite, fallbacks):
    chance = np.random.default_rng(3)
    vocabulary = [f"w{n}" for n in range(40)]
    texts = {f"{n}": " ".join(chance.choice(vocabulary, 6)) for n in range(400)}
    opened = made(tmp_path, texts, dropped=tuple(str(n) for n in range(0, 400, 5)))
    here, there = (
        Retriever(opened, embed, EMBEDDER),
        Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, Books())),
    )
    for question in ("w1 w2", "w3", "w30 w31 w32"):
        for way in ("fused", "dense"):
            fallbacks.clear()
            theirs = there.search(question, k=20, way=way)
            assert fallbacks == []
            ours = {hit.chunk.document.uri: hit for hit in here.search(question, k=400, way=way)}
            scores = sorted((hit.score for hit in ours.values()), reverse=True)[:20]
            assert [hit.score for hit in theirs] == pytest.approx(scores, abs=1e-5)
            assert [hit.cosine for hit in theirs] == pytest.approx(
                [ours[hit.chunk.document.uri].cosine for hit in theirs], abs=2e-6
            )


@pytest.mark.parametrize("harm", ["rows", "mark", "everything", "twice"])
def test_a_snapshot_that_milvus_does_not_hold_whole_is_not_opened(tmp_path, lite, harm):
    opened, books = made(tmp_path, {"a": "audit", "b": "audit"}), Books()
    searched, held = lite.filled(tmp_path, opened, books), lite.vectors(opened)
    segment = opened.segments[0].segment_id
    if harm == "rows":
        held.remove(within("document", ids("a")))
    elif harm == "mark":
        held.remove(f'id == "{segment}"')
    elif harm == "everything":
        held.drop()
    else:
        held.insert([{"id": "x", "segment": segment, "row": 0, "vector": [1.0] + [0.0] * 15}])

    with pytest.raises(IndexUnusable, match="citewell index gc --collection docs"):
        Retriever(opened, embed, EMBEDDER, dense=searched)


def test_a_server_that_lost_its_rows_is_noticed_while_it_serves(tmp_path, lite, monkeypatch):
    opened = made(tmp_path, {"a": "audit"})
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, Books()))
    assert found(retriever, "audit", Access()) == ["a"]
    held, segment = lite.vectors(opened), opened.segments[0].segment_id

    held.mark(segment, Mark(1, 1, int(time.time()) - 3600))
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 60)
    with pytest.raises(IndexUnusable, match="index gc"):
        found(retriever, "audit", Access())


def test_a_writer_that_was_killed_half_way_is_mended_by_the_next(tmp_path, lite, monkeypatch):
    opened, books = made(tmp_path, {str(n): "audit" for n in range(5)}), Books()
    writer, held = Elsewhere(lite.server, tmp_path, "docs", books), lite.vectors(opened)
    monkeypatch.setattr(elsewhere, "_ROWS", 2)
    insert, calls = type(held).insert, []

    def dying(self, rows):
        calls.append(len(rows))
        if len(calls) == 3:
            raise KeyboardInterrupt
        insert(self, rows)

    monkeypatch.setattr(type(held), "insert", dying)
    with pytest.raises(KeyboardInterrupt):
        writer.bring(opened)
    with pytest.raises(IndexUnusable):
        MilvusDense(lite.server, lambda _, epoch: frozenset()).check(opened)
    writer.bring(opened)

    MilvusDense(lite.server, lambda _, epoch: frozenset()).check(opened)
    assert calls == [2, 2, 1, 2, 2, 1]
    writer.bring(opened)
    assert len(calls) == 6  # what is whole is not written again


def test_what_is_kept_stays_and_the_rest_goes_after_a_while(tmp_path, lite, monkeypatch):
    old, now, books = made(tmp_path, {"a": "audit"}), made(tmp_path, {"b": "audit", "c": "audit"}), Books()
    writer, held = Elsewhere(lite.server, tmp_path, "docs", books), lite.vectors(now)
    writer.bring(old)
    held.insert([{"id": "seg_killed:0", "segment": "seg_killed", "row": 0, "vector": [1.0] + [0.0] * 15}])
    was, is_ = old.segments[0].segment_id, now.segments[0].segment_id

    writer.keep([now.manifest], frozenset())
    assert set(held.marks()) == {was, is_}  # brought, as after turning Milvus on
    assert held.count('segment == "seg_killed"') == 0
    assert held.count(within("segment", [was])) == 1  # a server may still search it

    writer.keep([now.manifest], ids("c"))
    assert held.count(within("document", ids("c"))) == 0
    assert held.count(within("segment", [was])) == 1

    writer.keep([old.manifest, now.manifest], frozenset())  # rolled back to: it is needed again
    assert held.marks()[was].unneeded_since == 0
    writer.keep([now.manifest], frozenset())
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + elsewhere.GRACE_S + 5)
    writer.keep([now.manifest], frozenset())
    assert set(held.marks()) == {is_}
    assert held.count(within("segment", [was])) == 0

    other = {**now.manifest, "embedder": {**EMBEDDER, "dim": 8}, "segments": []}
    writer.keep([other], frozenset())
    assert not held.exist()  # of an embedder that no kept snapshot has


def test_collections_have_names_of_their_own_in_milvus():
    server = Milvus(MilvusSettings(uri="x.db"))
    names = {server.vectors(name, 16).name for name in ("a-b", "a_b", "a_hb", "ab", "a")}

    assert len(names) == 5
    assert all(name.isidentifier() and name.isascii() for name in names)
    assert not server.vectors("a_v1", 16).name.startswith(server.family("a"))


def test_a_server_that_is_not_there_is_one_clear_line(tmp_path, capfd):
    server = Milvus(MilvusSettings(uri="http://me:hush@127.0.0.1:9", token="root:sesame", seconds=2))
    began = time.monotonic()

    with pytest.raises(IndexUnusable, match=r"milvus\.uri") as refused:
        MilvusDense(server, lambda _, epoch: frozenset()).check(made(tmp_path, {"a": "audit"}))

    assert time.monotonic() - began < 10
    assert refused.value.detail
    assert not [secret for secret in ("hush", "sesame") if secret in refused.value.message + refused.value.detail]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_server_that_is_killed_is_found_again(tmp_path):
    opened, served = made(tmp_path, {"a": "audit"}), milvus.Served(tmp_path)
    served.start()
    try:
        server = Milvus(MilvusSettings(uri=served.uri, seconds=10))
        Elsewhere(server, tmp_path, "docs", Books()).bring(opened)
        retriever = Retriever(opened, embed, EMBEDDER, dense=MilvusDense(server, lambda _, epoch: frozenset()))
        assert found(retriever, "audit", Access()) == ["a"]

        served.kill()
        with pytest.raises(IndexUnusable, match=r"milvus\.uri"):
            found(retriever, "audit", Access())

        served.start()
        until = time.monotonic() + 60
        while True:  # the library takes some seconds to try again
            try:
                assert found(retriever, "audit", Access()) == ["a"]
                break
            except IndexUnusable:
                assert time.monotonic() < until
                time.sleep(0.5)
    finally:
        served.kill()


def test_a_search_has_a_time_limit(tmp_path, lite, monkeypatch):
    opened = made(tmp_path, {"a": "audit"})
    retriever = Retriever(opened, embed, EMBEDDER, dense=lite.filled(tmp_path, opened, Books()))
    from milvus_lite.engine.collection import Collection

    def slow(*args, **kwargs):
        time.sleep(3)
        raise RuntimeError

    monkeypatch.setattr(Collection, "search", slow)
    monkeypatch.setattr(type(lite.server), "seconds", 0.5)
    began = time.monotonic()
    with pytest.raises(IndexUnusable, match="too long"):
        found(retriever, "audit", Access())
    assert time.monotonic() - began < 2.5
    time.sleep(3)  # its thread is done before the next test


def test_its_secrets_are_shown_nowhere():
    given = {"CITEWELL_MILVUS__URI": "http://me:hush@milvus:19530/db", "CITEWELL_MILVUS__TOKEN": "root:sesame"}
    effective = load_effective(given)
    rows = {name: value for name, value, _ in effective.rows()}

    assert rows["milvus.uri"] == "http://me:********@milvus:19530/db"
    assert rows["milvus.token"] == "********"
    assert "sesame" not in repr(effective)


@pytest.mark.parametrize(
    ("missing", "uri", "says"),
    [
        ("pymilvus", "http://127.0.0.1:19530", r"pip install 'citewell\[milvus\]'"),
        ("milvus_lite", "x.db", "pip install milvus-lite"),
        ("nothing", "milvus", r"ending in \.db"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, missing, uri, says):
    from importlib.util import find_spec

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else find_spec(name))
    with pytest.raises(Misconfigured, match=says):
        Milvus(MilvusSettings(uri=uri))


def test_nothing_of_it_is_imported_unless_asked_for():
    code = "import app.main, app.wiring, app.cli, ingest.cli, ingest.build, ingest.index_cli, sys; print({'pymilvus', 'milvus_lite', 'grpc', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_numbers_are_equal_for_what_filters_take_as_equal():
    number = numbers.field_number
    assert number("n", 1) == number("n", 1.0)
    assert len({number("n", 1), number("n", True), number("n", "1"), number("m", 1), number("n", "true"), number("n", 1.5)}) == 6
    assert number("n", 2**53 + 1) != number("n", float(2**53))
    assert numbers.principal_number("n") != numbers.OVERFULL
    assert all(-(2**63) <= numbers.principal_number(str(n)) < 2**63 for n in range(1000))
