"""FAISS, beyond what the conformance suite asks: graphs, epochs, locks, damage."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ragkit_faiss
from ragkit.components import Role, TellsFilters
from ragkit.errors import ComponentError
from ragkit.filters import matches
from ragkit.testing import FakeContext
from ragkit.testing.conformance.filtering import equal, one, several
from ragkit_faiss import FaissOptions
from ragkit_faiss.store import FaissStore
from ragkit_faiss.writer import Limits

SMALL = Limits(flat=500, tail=50, step=400)


def rows(count: int, seed: int = 0, dim: int = 24) -> Any:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def name(number: int) -> str:
    return f"n{number:05}"


@pytest.fixture
def put(node: Any) -> Any:
    """Put vectors in under the names of their numbers, beginning with `first`, and flush."""

    def write(store: FaissStore, vectors: Any, first: int = 0, **metadata: Any) -> None:
        numbers = range(first, first + len(vectors))
        store.upsert([node(name(i), vector=vectors[i - first].tolist(), group=i % 10, **metadata) for i in numbers])
        store.flush()

    return write


def filled(folder: Path, put: Any, count: int = 3_000, **options: Any) -> tuple[FaissStore, Any]:
    """A store whose graph is complete, and its vectors."""
    store, vectors = FaissStore(folder, FaissOptions(**{"ef_search": 64, **options}), SMALL), rows(count)
    for begin in range(0, count, 250):
        put(store, vectors[begin : begin + 250], begin)
    store.close()
    return store, vectors


def true_cosines(vectors: Any, question: Any) -> Any:
    return vectors @ question / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question)


def manifest(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "MANIFEST").read_text())
    return said


# Searching


def test_the_graph_finds_the_true_neighbours(tmp_path: Path, put: Any, ask: Any) -> None:
    store, vectors = filled(tmp_path, put)
    assert store.client.ntotal == 3_000
    gone = set(range(0, 3_000, 3))
    store.delete_nodes([name(i) for i in gone])
    store.flush()
    assert store.client.ntotal == 3_000, "deletions are not to touch the graph"
    found = 0
    for question in rows(40, seed=1):
        scores = true_cosines(vectors, question)
        best = [i for i in np.argsort(-scores).tolist() if i not in gone][:10]
        ids, similarities = store.search_ids(ask(question.tolist(), 10))
        assert similarities == pytest.approx([scores[int(id_[1:])] for id_ in ids], abs=1e-5)
        assert similarities == sorted(similarities, reverse=True)
        assert not {int(id_[1:]) for id_ in ids} & gone
        found += len({int(id_[1:]) for id_ in ids} & set(best))
    assert found >= 380


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_equal_hits_come_in_the_order_of_their_ids(metric: str, tmp_path: Path, put: Any, ask: Any) -> None:
    """Also at the end of the list, where some of them are left out, and across the graph's border."""
    store, _ = filled(tmp_path, put, 1_000, metric=metric, ef_search=8)
    twins = np.repeat(30 * rows(1, seed=5), 30, axis=0)
    put(store, twins, first=1_000)
    put(store, rows(60, seed=6), first=1_100)
    assert store.client.ntotal == 1_090
    put(store, twins[:10])
    expected = [*(name(i) for i in range(10)), *(name(i) for i in range(1_000, 1_030))]
    for k in (7, 15, 39, 40):
        ids, scores = store.search_ids(ask(twins[0].tolist(), k))
        assert ids == expected[:k]
        assert len(set(scores)) == 1


def test_filters_choose_within_the_graph(tmp_path: Path, put: Any, ask: Any) -> None:
    store, vectors = filled(tmp_path, put)
    assert isinstance(store, TellsFilters)
    question = rows(1, seed=2)[0]
    order = np.argsort(-true_cosines(vectors, question)).tolist()
    for filters in (
        several("and", one("group", "!=", 3)),  # nearly all
        several("or", one("group", "<", 5), one("group", "==", 9)),
        several("not", one("group", "in", [1, 2, 3])),
        equal("group", 4),
    ):
        assert store.evaluates(filters)
        expected = [name(i) for i in order if matches(filters, {"group": i % 10})][:10]
        ids, _ = store.search_ids(ask(question.tolist(), 10, filters=filters))
        assert len(set(ids) & set(expected)) >= 9
        assert all(matches(filters, {"group": int(id_[1:]) % 10}) for id_ in ids)
    assert store.search_ids(ask(question.tolist(), 10, filters=equal("group", 77))) == ([], [])


def test_metadata_that_comes_later_is_filtered_by(tmp_path: Path, put: Any, ask: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    question = ask(rows(1)[0].tolist(), 100, filters=several("and", one("late", "is_empty", None)))
    put(store, rows(3))
    assert len(store.search_ids(question)[0]) == 3
    put(store, rows(2), first=3, late="yes")
    put(store, rows(2), first=5)
    assert store.search_ids(question)[0] != []
    assert sorted(store.search_ids(question)[0]) == [name(i) for i in (0, 1, 2, 5, 6)]


def test_a_question_may_name_chunks_and_documents(tmp_path: Path, node: Any, ask: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    store.add([node(name(i), vector=row, document=f"d{i % 3}") for i, row in enumerate(rows(30).tolist())])
    question = rows(1, seed=3)[0].tolist()
    assert sorted(store.search_ids(ask(question, 50, node_ids=[name(4), name(7), "unknown"]))[0]) == [name(4), name(7)]
    assert sorted(store.search_ids(ask(question, 50, doc_ids=["d1", "unknown"]))[0]) == [name(i) for i in range(1, 30, 3)]
    assert store.search_ids(ask(question, 50, doc_ids=["d1"], node_ids=[name(4), name(5)]))[0] == [name(4)]


def test_zero_vectors_and_numbers_that_are_none(tmp_path: Path, node: Any, ask: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    store.add([node("zero", vector=[0.0] * 20), node("one", vector=[1.0, *[0.0] * 19])])
    assert store.search_ids(ask([2.0, *[0.0] * 19], 2)) == (["one", "zero"], [pytest.approx(1.0), 0.0])
    assert store.search_ids(ask([0.0] * 20, 2)) == (["one", "zero"], [0.0, 0.0])
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ComponentError, match="the vector of bad"):
            store.add([node("good", vector=[1.0] * 20), node("bad", vector=[bad] * 20)])
    store.flush()
    assert store.count() == 2


def test_another_faiss_may_write_its_header_otherwise(
    tmp_path: Path, put: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = filled(tmp_path, put, 1_000)
    question = ask(rows(1, seed=4)[0].tolist(), 10)
    before = store.search_ids(question)
    store.close()
    monkeypatch.setattr("ragkit_faiss.graph._header", lambda *given: None)
    assert store.search_ids(question) == before
    assert store.client.ntotal == 1_000


# Writing


def test_a_graph_is_built_from_a_size_on(tmp_path: Path, put: Any) -> None:
    for index, count, graph in (("auto", 400, False), ("auto", 600, True), ("hnsw", 60, True), ("flat", 600, False)):
        store, _ = filled(tmp_path / f"{index}{count}", put, count, index=index)
        assert (store.client is not None) == graph, (index, count)


def test_a_small_update_leaves_the_graph_as_it_is(tmp_path: Path, put: Any, ask: Any) -> None:
    store, _ = filled(tmp_path, put)
    graph = manifest(tmp_path)["graph"]
    changed = rows(40, seed=8)
    put(store, changed)
    store.close()
    assert manifest(tmp_path)["graph"] == graph
    for number in (0, 39):
        ids, scores = store.search_ids(ask(changed[number].tolist(), 3))
        assert (ids[0], scores[0]) == (name(number), pytest.approx(1.0))
    put(store, rows(40, seed=18))
    ids, scores = store.search_ids(ask(changed[5].tolist(), 100))
    assert len(set(ids)) == 100
    assert scores[0] < 0.99, "what was replaced before it came into the graph is gone too"
    put(store, rows(60, seed=9), first=3_000)
    store.close()
    assert manifest(tmp_path)["graph"] != graph
    assert manifest(tmp_path)["graph_rows"] == 3_140
    assert len(list(tmp_path.glob("epoch-*/graph-*"))) == 1


def test_what_was_deleted_gives_its_room_back(tmp_path: Path, put: Any, ask: Any) -> None:
    store, vectors = filled(tmp_path, put)
    reader = FaissStore(tmp_path, FaissOptions(), SMALL)
    (old,) = tmp_path.glob("epoch-*")
    size = (old / "vectors").stat().st_size
    assert reader.count() == 3_000
    held = reader._reader.current()
    store.delete_nodes([name(i) for i in range(2_500)])
    store.flush()
    (new,) = tmp_path.glob("epoch-*")
    assert new != old
    assert (new / "vectors").stat().st_size < size / 4
    assert manifest(tmp_path)["rows"] == 500
    assert float(held.vectors.sum()) == pytest.approx(
        float(sum(vectors / np.linalg.norm(vectors, axis=1)[:, None]).sum()), abs=0.1
    )
    for opened in (store, reader):
        assert sorted(opened.ids()) == [name(i) for i in range(2_500, 3_000)]
        assert opened.search_ids(ask(vectors[2_700].tolist(), 1))[0] == [name(2_700)]
        assert opened.search_ids(ask(vectors[2_700].tolist(), 500, filters=equal("group", 4)))[0][:1] != []
    store.clear()
    assert (store.count(), reader.count(), manifest(tmp_path)["rows"]) == (0, 0, 0)
    put(store, rows(5, dim=7))  # vectors of another length may come into an empty collection
    assert reader.count() == 5


def test_deleting_looks_at_what_waits_too(tmp_path: Path, node: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    store.add([node("a", "x", document="one", kind="post"), node("b", "x", document="two", kind="post")])
    store.upsert([node("b", "x", document="one", kind="page"), node("c", "x", document="two", kind="post")])
    store.delete("two")
    store.delete_nodes(["b", "unknown"], equal("kind", "post"))
    store.flush()
    assert sorted(store.ids()) == ["a", "b"]
    store.delete_nodes(None, equal("kind", "page"))
    store.flush()
    assert list(store.ids()) == ["a"]


def test_objects_in_one_process_see_each_others_writes(tmp_path: Path, put: Any) -> None:
    one, other = FaissStore(tmp_path, FaissOptions()), FaissStore(tmp_path, FaissOptions())
    put(one, rows(3))
    put(other, rows(3), first=2)
    put(one, rows(3), first=4)
    assert list(one.ids()) == list(other.ids())
    assert sorted(one.ids()) == [name(i) for i in range(7)]
    one.drop()
    assert (one.count(), other.count()) == (0, 0)
    put(other, rows(2))
    assert (one.count(), other.count()) == (2, 2)


def test_ids_of_any_kind_are_kept(tmp_path: Path, node: Any, ask: Any) -> None:
    names = ["", " ", "ünï\n\u2028\\", '"', "\ud800", "a" * 5_000, "1", "01"]
    store = FaissStore(tmp_path, FaissOptions())
    store.add([node(id_, vector=row, document=id_) for id_, row in zip(names, rows(len(names)).tolist(), strict=True)])
    again = FaissStore(tmp_path, FaissOptions())
    assert list(again.ids()) == names
    assert sorted(again.search_ids(ask(rows(1)[0].tolist(), 50))[0]) == sorted(names)


def test_another_writer_is_waited_for_and_named(tmp_path: Path, put: Any, node: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions(timeout=0.05))
    put(store, rows(3))
    descriptor = os.open(tmp_path / "LOCK", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    store.upsert([node("late", vector=rows(1)[0].tolist())])
    with pytest.raises(ComponentError, match=f"the faiss store in .* is being written by process {os.getpid()}") as caught:
        store.flush()
    assert "0.05 s" in caught.value.cure
    assert store.count() == 3, "readers do not wait"
    os.close(descriptor)
    store.flush()
    assert store.count() == 4


def test_the_files_that_a_dead_writer_left_are_written_over(tmp_path: Path, put: Any, ask: Any) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    put(store, rows(20))
    (epoch,) = tmp_path.glob("epoch-*")
    for path in epoch.iterdir():
        with path.open("ab") as file:
            file.write(b"half a row")
    (epoch / "graph-9").write_bytes(b"half a graph")
    shutil.copytree(epoch, tmp_path / "epoch-of-the-dead")
    (tmp_path / "MANIFEST.tmp").write_bytes(b"half a manifest")
    again = FaissStore(tmp_path, FaissOptions())
    assert again.count() == 20
    put(again, rows(20, seed=1), first=10)
    third = FaissStore(tmp_path, FaissOptions())
    assert sorted(third.ids()) == [name(i) for i in range(30)]
    assert third.search_ids(ask(rows(20, seed=1)[5].tolist(), 1, filters=equal("group", 5)))[0] == [name(15)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LOCK", "MANIFEST", epoch.name]
    assert not list(epoch.glob("graph-*"))


# Faults


@pytest.mark.parametrize("harm", ["vectors", "ids", "records", "graph", "manifest", "epoch"])
def test_damage_is_said_with_its_cure(harm: str, tmp_path: Path, put: Any, ask: Any) -> None:
    filled(tmp_path, put, 1_000)
    (epoch,) = tmp_path.glob("epoch-*")
    if harm == "epoch":
        shutil.rmtree(epoch)
    else:
        (path,) = [tmp_path / "MANIFEST"] if harm == "manifest" else epoch.glob(f"{harm}*")
        path.write_bytes(path.read_bytes()[: 100 if harm == "graph" else 20])
    store = FaissStore(tmp_path, FaissOptions(ef_search=64), SMALL)
    with pytest.raises(ComponentError, match="is damaged") as caught:
        store.search_ids(ask(rows(1)[0].tolist(), 5, filters=equal("group", 1)))
    assert "views repair" in caught.value.cure
    store.drop()
    assert store.count() == 0


def test_other_options_and_newer_formats_are_refused(tmp_path: Path, put: Any) -> None:
    put(FaissStore(tmp_path, FaissOptions(m=8)), rows(3))
    with pytest.raises(ComponentError, match=r"was built with .*'m': 8"):
        FaissStore(tmp_path, FaissOptions()).count()
    said = manifest(tmp_path)
    (tmp_path / "MANIFEST").write_text(json.dumps({**said, "format": 99}))
    with pytest.raises(ComponentError, match="newer ragkit-faiss"):
        FaissStore(tmp_path, FaissOptions(m=8)).count()


def test_a_folder_that_must_not_be_read_is_named(open_folder: Path, put: Any, nobody: Any) -> None:
    store = FaissStore(open_folder, FaissOptions())
    put(store, rows(3))
    (open_folder / "MANIFEST").chmod(0)
    with nobody, pytest.raises(ComponentError, match="cannot be read"):
        FaissStore(open_folder, FaissOptions()).count()


def test_a_full_disk_keeps_what_was_flushed(tmp_path: Path, put: Any, node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaissStore(tmp_path, FaissOptions())
    put(store, rows(3))
    store.upsert([node("late", vector=rows(1)[0].tolist())])

    def full(*given: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ragkit_faiss.files.publish", full)
        with pytest.raises(OSError, match="No space left"):
            store.flush()
    assert store.count() == 3
    store.flush()
    assert store.count() == 4


# What it says about itself


def test_what_changes_the_index_is_its_identity() -> None:
    roles = {field: FaissOptions.role(field) for field in FaissOptions.model_fields}
    assert {field for field, role in roles.items() if role is Role.IDENTITY} == {"metric", "index", "m", "ef_construction"}


def test_building_touches_nothing(context: FakeContext) -> None:
    store = ragkit_faiss.build(FaissOptions(), context)
    assert (store.count(), list(store.ids()), dict(store.vectors(["a"])), store.client) == (0, [], {}, None)
    store.flush()
    store.close()
    assert list(context.folder.iterdir()) == []
