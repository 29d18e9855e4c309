"""The stores in memory: exact, and found again by another object where they have a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ragkit.components import (
    Counts,
    Drops,
    Flushes,
    ListsIds,
    Marks,
    ReturnsVectors,
    ScoresIds,
    SearchesIds,
    Upserts,
    WeighsTerms,
)
from ragkit.errors import ComponentError
from ragkit.testing import MemoryKeywordStore, MemoryVectorStore


def node(id_: str, text: str = "", vector: tuple[float, ...] = (1.0, 0.0), document: str = "d", **metadata: Any) -> Any:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(id_=id_, text=text, embedding=list(vector), metadata=metadata, relationships=source)


def query(**fields: Any) -> Any:
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return VectorStoreQuery(**{"similarity_top_k": 10, **fields})


def test_both_offer_the_protocols() -> None:
    shared = (SearchesIds, ListsIds, Counts, Upserts, Flushes, Drops, Marks)
    for store, own in ((MemoryVectorStore(), (ReturnsVectors,)), (MemoryKeywordStore(), (ScoresIds, WeighsTerms))):
        for protocol in (*shared, *own):
            assert isinstance(store, protocol)


@pytest.mark.parametrize(
    ("metric", "true"),
    [("cosine", {"a": 0.8, "b": 0.6}), ("dot", {"a": 8.0, "b": 3.0}), ("l2", {"b": -20.0, "a": -85.0})],
)
def test_similarities(metric: str, true: dict[str, float]) -> None:
    store = MemoryVectorStore(metric=metric)
    store.upsert([node("a", vector=(8.0, 6.0)), node("b", vector=(3.0, 4.0))])
    ids, scores = store.search_ids(query(query_embedding=[1.0, 0.0]))
    assert ids == list(true)
    assert scores == pytest.approx(list(true.values()))
    with pytest.raises(ComponentError, match="dimensions"):
        store.search_ids(query(query_embedding=[1.0]))


def test_keyword_scores_are_above_0_and_true_for_given_ids() -> None:
    store = MemoryKeywordStore()
    store.upsert([node("a", "red fish red"), node("b", "blue fish"), node("c", "")])
    ids, scores = store.search_ids(query(query_str="red fish"))
    assert ids == ["a", "b"]
    assert store.score_ids("red fish", ["b", "c", "a", "x"]) == [scores[1], 0.0, scores[0], 0.0]
    assert store.idf(["fish"])[0] < store.idf(["red"])[0] < store.idf(["unseen"])[0] == pytest.approx(math.log(8))


@pytest.mark.parametrize("make", [MemoryVectorStore, MemoryKeywordStore])
def test_updates_deletes_and_is_found_by_another_object_after_a_flush(make: Any, tmp_path: Path) -> None:
    store, other = make(tmp_path), make(tmp_path)
    store.upsert([node("a", "one", document="x"), node("b", "two", document="x"), node("c", "three", document="y")])
    assert (store.count(), other.count()) == (3, 0)
    store.flush()
    assert list(other.ids()) == ["a", "b", "c"]
    assert other.marker() is None
    other.mark({"owner": "uuid"})
    store.delete_nodes(["a", "unknown"])
    store.delete("y")
    assert list(store.ids()) == ["b"]
    store.flush()
    assert list(make(tmp_path).ids()) == ["b"]
    assert make(tmp_path).marker() == {"owner": "uuid"}
    store.drop()
    assert (store.count(), other.count(), other.marker()) == (0, 0, None)


def test_without_a_folder_nothing_is_kept() -> None:
    store = MemoryVectorStore()
    store.upsert([node("a")])
    store.flush()
    assert (store.count(), MemoryVectorStore().count()) == (1, 0)
    store.clear()
    assert store.count() == 0
