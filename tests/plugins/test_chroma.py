"""The store `chroma`: updates, scores, ids, marks, and what it keeps, with the real Chroma."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.vector_stores.types import VectorStoreQuery

import ragkit_chroma
from ragkit.components import Counts, Drops, ListsIds, Marks, ReturnsVectors, SearchesIds, Upserts
from ragkit.errors import ComponentError
from ragkit.testing import FakeContext, build_context
from ragkit_chroma import ChromaOptions


@pytest.fixture
def store(context: FakeContext) -> Iterator[Any]:
    opened = ragkit_chroma.build(ChromaOptions(), context)
    yield opened
    opened.close()


def test_offers_the_protocols(store: Any) -> None:
    for protocol in (SearchesIds, ReturnsVectors, ListsIds, Counts, Upserts, Drops, Marks):
        assert isinstance(store, protocol)


def test_an_empty_collection_answers(store: Any, ask: Any) -> None:
    assert store.search_ids(ask([1.0, 0.0], 5)) == ([], [])
    assert store.count() == 0
    assert list(store.ids()) == []
    assert store.vectors(["a"]) == {}


def test_an_upsert_replaces_vector_metadata_and_forgets_old_keys(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("a", vector=[1.0, 0.0], year=2020, tags=["x"], old="gone"), node("b", vector=[0.0, 1.0])])
    store.upsert([node("a", vector=[0.0, 2.0], year=2021)])
    assert store.count() == 2
    assert list(store.vectors(["a"])["a"]) == [0.0, 2.0]
    (kept,) = store.get_nodes(["a"])
    assert kept.metadata == {"year": 2021}
    assert kept.ref_doc_id == "d"


def test_an_id_twice_in_one_upsert_keeps_the_last(store: Any, node: Any) -> None:
    store.upsert([node("a", vector=[1.0, 0.0]), node("a", vector=[0.0, 1.0])])
    assert list(store.vectors(["a"])["a"]) == [0.0, 1.0]


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_scores_equal_numpys_for_every_metric(metric: Any, tmp_path: Path, node: Any, ask: Any) -> None:
    rng = np.random.default_rng(1)
    vectors, question = rng.normal(size=(300, 24)), rng.normal(size=24)
    store = ragkit_chroma.build(ChromaOptions(metric=metric), build_context(tmp_path))
    store.upsert([node(f"n{i}", vector=vector.tolist()) for i, vector in enumerate(vectors)])
    true = {
        "cosine": vectors @ question / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question),
        "dot": vectors @ question,
        "l2": -((vectors - question) ** 2).sum(axis=1),
    }[metric]
    ids, scores = store.search_ids(ask(question.tolist(), 10))
    assert ids == [f"n{i}" for i in np.argsort(-true)[:10]]
    assert scores == pytest.approx(np.sort(true)[::-1][:10], abs=1e-3)
    result = store.query(ask(question.tolist(), 10))
    assert (result.ids, result.similarities, result.nodes) == (ids, scores, None)
    store.close()


def test_many_hits_are_found_with_a_small_ef_search(tmp_path: Path, node: Any, ask: Any) -> None:
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(1500, 16))
    store = ragkit_chroma.build(ChromaOptions(ef_search=1), build_context(tmp_path))
    store.upsert([node(f"n{i}", vector=vector.tolist()) for i, vector in enumerate(vectors)])
    ids, scores = store.search_ids(ask(vectors[7].tolist(), 1000))
    assert len(set(ids)) == 1000
    assert scores == sorted(scores, reverse=True)
    assert len(store.search_ids(ask(vectors[7].tolist(), 5000))[0]) == 1500
    store.close()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_vectors_that_are_nearly_alike_are_all_found(metric: Any, tmp_path: Path, node: Any, ask: Any) -> None:
    """HNSW alone reaches some 1,090 of these 1,200."""
    store = ragkit_chroma.build(ChromaOptions(metric=metric), build_context(tmp_path))
    store.upsert([node(f"n{i}", vector=[1.0, 100.0 + i], half=i % 2) for i in range(1200)])
    ids, scores = store.search_ids(ask([1.0, 5.0], 2000))
    assert len(set(ids)) == 1200
    assert scores == sorted(scores, reverse=True)
    store.close()


def test_ef_search_can_change_without_a_new_index(tmp_path: Path, node: Any, ask: Any) -> None:
    store = ragkit_chroma.build(ChromaOptions(ef_search=50), build_context(tmp_path))
    store.upsert([node("a", vector=[1.0, 0.0])])
    store.close()
    store = ragkit_chroma.build(ChromaOptions(ef_search=300), build_context(tmp_path))
    assert store.client.configuration["hnsw"]["ef_search"] == 300
    assert store.search_ids(ask([1.0, 0.0]))[0] == ["a"]
    store.close()


def test_deletes_by_id_and_by_document_and_forgives_unknown_ids(store: Any, node: Any) -> None:
    store.upsert([node("a", "one", document="x"), node("b", "two", document="x"), node("c", "three", document="y")])
    store.delete_nodes(["a", "unknown"])
    assert sorted(store.ids()) == ["b", "c"]
    store.delete("x")
    assert list(store.ids()) == ["c"]
    store.delete_nodes([])
    store.clear()
    assert store.count() == 0


def test_batches_larger_than_chroma_takes(store: Any, node: Any, ask: Any) -> None:
    store._batch = 7
    store.upsert([node(f"n{i:02}", f"text {i}") for i in range(30)])
    assert sorted(store.ids()) == [f"n{i:02}" for i in range(30)]
    assert len(store.vectors([f"n{i:02}" for i in range(30)])) == 30
    store.delete_nodes([f"n{i:02}" for i in range(29)])
    assert list(store.ids()) == ["n29"]


def test_metadata_of_every_type_comes_back(store: Any, node: Any) -> None:
    values = {"s": "ü", "i": 3, "f": 2.5, "t": True, "ls": ["a", "b"], "li": [1, 2], "lt": [True]}
    odd = {"none": None, "nan": float("nan"), "empty": [], "mixed": [1, "a"], "numbers": [1, 2.5], "nested": {"a": 1}, "$x": 1}
    store.upsert([node("a", "text", **values, **odd, huge=2**80)])
    (kept,) = store.get_nodes(["a"])
    assert kept.metadata == {**values, "mixed": ["1", "a"], "numbers": [1.0, 2.5], "huge": float(2**80)}


def test_text_is_kept_only_when_asked(tmp_path: Path, node: Any, ask: Any) -> None:
    for keeps in (False, True):
        store = ragkit_chroma.build(ChromaOptions(store_text=keeps), build_context(tmp_path / str(keeps)))
        store.upsert([node("a", "the secret text", vector=[1.0, 0.0], year=1)])
        raw = store.client.get(include=["documents", "metadatas"])
        assert raw["documents"] == (["the secret text"] if keeps else [None])
        assert raw["metadatas"] == [{"year": 1, "_document": "d"}]
        nodes = store.query(ask([1.0, 0.0])).nodes
        assert [hit.text for hit in nodes or []] == (["the secret text"] if keeps else [])
        store.close()


def test_restricts_to_given_chunks_and_documents(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node(f"n{i}", f"word{i}", document=f"d{i % 2}") for i in range(6)])
    question = [1.0] * 16
    assert sorted(store.search_ids(ask(question, node_ids=["n1", "n2", "unknown"]))[0]) == ["n1", "n2"]
    assert sorted(store.search_ids(ask(question, doc_ids=["d1"]))[0]) == ["n1", "n3", "n5"]


def test_the_mark_belongs_to_the_collection(store: Any, context: FakeContext) -> None:
    assert store.marker() is None
    store.client.modify(metadata={"made by": "somebody else"})
    assert store.marker() is None
    store.mark({"owner": "uuid", "applied": "7"})
    assert store.marker() == {"owner": "uuid", "applied": "7"}
    store.mark({"owner": "uuid"})
    assert store.marker() == {"owner": "uuid"}
    store.drop()
    with pytest.raises(ComponentError, match="ragkit views verify"):
        store.count()


def test_a_dropped_collection_leaves_no_vectors_and_touches_no_other(context: FakeContext, node: Any) -> None:
    other = ragkit_chroma.build(ChromaOptions(), dataclasses.replace(context, collection="ragkit-other"))
    store = ragkit_chroma.build(ChromaOptions(), context)
    for each in (store, other):
        each.upsert([node(f"n{i}", vector=[1.0, float(i)]) for i in range(1200)])
        assert each.count() == 1200
    before = [path for path in context.folder.iterdir() if path.is_dir()]
    store.drop()
    assert len([path for path in context.folder.iterdir() if path.is_dir()]) == len(before) - 1 == 1
    store.close()
    other.close()
    other = ragkit_chroma.build(ChromaOptions(), dataclasses.replace(context, collection="ragkit-other"))
    assert len(other.search_ids(VectorStoreQuery(query_embedding=[1.0, 5.0], similarity_top_k=2000))[0]) == 1200
    other.close()


def test_another_dimension_is_a_clear_error(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node("a", vector=[1.0, 0.0])])
    with pytest.raises(ComponentError, match=r"dimension[\s\S]*another model"):
        store.upsert([node("b", vector=[1.0, 0.0, 0.0])])
    with pytest.raises(ComponentError, match="dimension"):
        store.search_ids(ask([1.0, 0.0, 0.0]))
    with pytest.raises(ComponentError, match="vector"):
        store.search_ids(ask("words"))


def test_reopens_after_close_in_one_process(context: FakeContext, node: Any) -> None:
    for expected in (0, 1):
        store = ragkit_chroma.build(ChromaOptions(), context)
        assert store.count() == expected
        store.upsert([node("a", "text")])
        store.close()


@pytest.mark.kill
def test_what_upsert_returned_from_survives_a_kill(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from pathlib import Path
        from llama_index.core.schema import TextNode
        from ragkit.testing import build_context
        import ragkit_chroma
        store = ragkit_chroma.build(ragkit_chroma.ChromaOptions(), build_context(Path({str(tmp_path)!r})))
        store.upsert([TextNode(id_=str(i), text="", embedding=[i + 1.0, 1.0]) for i in range(1500)])
        store.delete_nodes([str(i) for i in range(500)])
        os.kill(os.getpid(), signal.SIGKILL)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    store = ragkit_chroma.build(ChromaOptions(), build_context(tmp_path))
    assert sorted(map(int, store.ids())) == list(range(500, 1500))
    store.close()
