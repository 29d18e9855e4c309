"""The stores in memory, beyond what the conformance suites test of every store."""

from __future__ import annotations

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
from ragkit.testing import MemoryKeywordStore, MemoryVectorStore


def node(id_: str, text: str = "") -> Any:
    from llama_index.core.schema import TextNode

    return TextNode(id_=id_, text=text, embedding=[1.0, 0.0])


def test_both_offer_the_protocols() -> None:
    shared = (SearchesIds, ListsIds, Counts, Upserts, Flushes, Drops, Marks)
    for store, own in ((MemoryVectorStore(), (ReturnsVectors,)), (MemoryKeywordStore(), (ScoresIds, WeighsTerms))):
        for protocol in (*shared, *own):
            assert isinstance(store, protocol)


@pytest.mark.parametrize("make", [MemoryVectorStore, MemoryKeywordStore])
def test_another_object_sees_what_was_flushed(make: Any, tmp_path: Path) -> None:
    store, other = make(tmp_path), make(tmp_path)
    store.upsert([node("a", "one"), node("b", "two")])
    assert (store.count(), other.count()) == (2, 0)
    store.flush()
    assert list(other.ids()) == ["a", "b"]
    other.mark({"owner": "uuid"})
    assert store.marker() == {"owner": "uuid"}
    store.drop()
    assert (store.count(), other.count(), other.marker()) == (0, 0, None)


def test_without_a_folder_nothing_is_kept() -> None:
    store = MemoryVectorStore()
    store.upsert([node("a")])
    store.flush()
    assert (store.count(), MemoryVectorStore().count()) == (1, 0)
    store.clear()
    assert store.count() == 0
