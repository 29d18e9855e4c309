"""The store `chroma`, beyond what the conformance suite tests of every store: what it keeps, and how it searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.vector_stores.types import VectorStoreQuery

import ragkit_chroma
from ragkit.components import Counts, Drops, ListsIds, Marks, ReturnsVectors, SearchesIds, TellsFilters, Upserts
from ragkit.errors import ComponentError
from ragkit.testing import FakeContext, build_context
from ragkit_chroma import ChromaOptions
from ragkit_chroma.places import Folder, Limits


@pytest.fixture
def store(context: FakeContext) -> Iterator[Any]:
    opened = ragkit_chroma.build(ChromaOptions(), context)
    yield opened
    opened.close()


def test_offers_the_protocols(store: Any) -> None:
    for protocol in (SearchesIds, TellsFilters, ReturnsVectors, ListsIds, Counts, Upserts, Drops, Marks):
        assert isinstance(store, protocol)


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


def test_ef_search_can_change_without_a_new_index(tmp_path: Path, node: Any, ask: Any) -> None:
    store = ragkit_chroma.build(ChromaOptions(ef_search=50), build_context(tmp_path))
    store.upsert([node("a", vector=[1.0, 0.0])])
    store.close()
    store = ragkit_chroma.build(ChromaOptions(ef_search=300), build_context(tmp_path))
    assert store.client.configuration["hnsw"]["ef_search"] == 300
    assert store.search_ids(ask([1.0, 0.0]))[0] == ["a"]
    store.close()


def test_batches_larger_than_chroma_takes(store: Any, node: Any, ask: Any) -> None:
    store._limits = Limits(records=7)
    store.upsert([node(f"n{i:02}", f"text {i}") for i in range(30)])
    assert sorted(store.ids()) == [f"n{i:02}" for i in range(30)]
    assert len(store.vectors([f"n{i:02}" for i in range(30)])) == 30
    store.delete_nodes([f"n{i:02}" for i in range(29)])
    assert list(store.ids()) == ["n29"]


def test_metadata_of_every_type_comes_back(store: Any, node: Any, ask: Any) -> None:
    values = {"s": "ü", "i": 3, "f": 2.5, "t": True, "ls": ["a", "b"], "li": [1, 2], "lt": [True], "numbers": [1.0, 2.5]}
    odd = {"empty": [], "mixed": [1, "a"], "nested": {"a": 1}, "$x": 1, "_document": "own", "_more": "own", "": 0}
    large = {"large": 2**60 + 1, "huge": 2**80 + 1, "endless": 10**400, "infinite": float("inf")}
    store.upsert([node("a", "text", **values, **odd, **large, none=None)])
    (kept,) = store.get_nodes(["a"])
    assert kept.metadata == {**values, **odd, **large}
    assert kept.ref_doc_id == "d"
    store.upsert([node("a", "text", i=4)])
    (kept,) = store.get_nodes(["a"])
    assert kept.metadata == {"i": 4}


def test_dates_are_texts(store: Any, node: Any, ask: Any) -> None:
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

    store.upsert([node("a", day=date(2024, 5, 1)), node("b", day="2024-05-02")])
    asked = MetadataFilters(filters=[MetadataFilter(key="day", value="2024-05-01")])
    assert store.search_ids(ask([1.0] * 16, filters=asked))[0] == ["a"]


def test_large_integers_are_compared_exactly(store: Any, node: Any, ask: Any) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    numbers = {"a": 2**60, "b": 2**60 + 1, "c": 2**80 + 1, "d": 7}
    store.upsert([node(id_, "text", number=number) for id_, number in numbers.items()])
    for operator, value, found in (
        ("==", 2**60 + 1, "b"),
        (">", 2**60, "bc"),
        (">", 6, "abcd"),
        ("<=", 2**60, "ad"),
        ("==", 2**80, ""),
    ):
        asked = MetadataFilters(filters=[MetadataFilter(key="number", value=value, operator=FilterOperator(operator))])
        assert sorted(store.search_ids(ask([1.0] * 16, filters=asked))[0]) == list(found), (operator, value)


def test_equal_hits_come_in_the_order_of_their_ids(store: Any, node: Any, ask: Any) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    store.upsert([node(f"n{i:03}", "same", even=str(i % 2)) for i in reversed(range(200))])
    question = store.vectors(["n000"])["n000"]
    assert store.search_ids(ask(list(question), 7))[0] == [f"n{i:03}" for i in range(7)]
    odd = MetadataFilters(filters=[MetadataFilter(key="even", value="1", operator=FilterOperator.TEXT_MATCH)])
    assert store.search_ids(ask(list(question), 3, filters=odd))[0] == ["n001", "n003", "n005"]


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


def test_tells_which_filters_chroma_evaluates(store: Any) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    def one(operator: str, value: Any, key: str = "year") -> MetadataFilters:
        return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=FilterOperator(operator))])

    assert store.evaluates(one("==", "a"))
    assert store.evaluates(one(">=", 2020))
    assert not store.evaluates(one(">=", "2020-01-01"))
    assert not store.evaluates(one("contains", "a"))
    assert not store.evaluates(one("==", "a", "$year"))


def test_restricts_to_given_chunks_and_documents(store: Any, node: Any, ask: Any) -> None:
    store.upsert([node(f"n{i}", f"word{i}", document=f"d{i % 2}") for i in range(6)])
    question = [1.0] * 16
    assert sorted(store.search_ids(ask(question, node_ids=["n1", "n2", "unknown"]))[0]) == ["n1", "n2"]
    assert sorted(store.search_ids(ask(question, doc_ids=["d1"]))[0]) == ["n1", "n3", "n5"]
    assert store.search_ids(ask(question, node_ids=["n1", "n2"], doc_ids=["d1"]))[0] == ["n1"]


def test_restricts_to_more_chunks_than_a_request_takes(store: Any, node: Any, ask: Any) -> None:
    store._limits = Limits(records=7)
    store.upsert([node(f"n{i:02}", vector=[1.0, float(i)]) for i in range(60)])
    asked = [f"n{i:02}" for i in range(1, 60, 2)]
    assert store.search_ids(ask([1.0, 0.0], 4, node_ids=asked))[0] == asked[:4]
    assert sorted(store.search_ids(ask([1.0, 0.0], 1_000, node_ids=asked))[0]) == asked


def test_a_folder_that_chroma_cannot_read(tmp_path: Path) -> None:
    for name in ("a file", "a folder"):
        path = tmp_path / name
        if name == "a folder":
            path.mkdir()
            (path / "chroma.sqlite3").write_bytes(b"no database" * 1000)
        else:
            path.write_text("a file")
        with pytest.raises(ComponentError, match=rf"Chroma cannot open its folder .*{name}(.|\n)*written by this version"):
            Folder(path)


def test_a_collection_of_somebody_else_has_no_mark(store: Any) -> None:
    store.client.modify(metadata={"made by": "somebody else"})
    assert store.marker() is None


def test_a_collection_that_is_gone_says_what_to_do(store: Any) -> None:
    store.drop()
    with pytest.raises(ComponentError, match="ragkit views repair"):
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
