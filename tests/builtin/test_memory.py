"""The built-in vector store `memory`."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragkit.builtin import memory
from ragkit.builtin.memory import store as module
from ragkit.builtin.memory.store import MemoryStore
from ragkit.errors import ComponentError
from ragkit.testing.conformance import VectorStoreSuite
from ragkit.testing.conformance.filtering import equal
from ragkit.testing.conformance.stores import chunk, uid


class TestMemory(VectorStoreSuite):
    component = memory.ragkit_vector_stores()[0]


def vectors(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, 9))


def put(store: MemoryStore, rows: Any, first: int = 0, **metadata: Any) -> None:
    numbers = range(first, first + len(rows))
    store.upsert([chunk(f"{i}", vector=rows[i - first], document=f"d{i % 3}", metadata=metadata) for i in numbers])
    store.flush()


def search(store: MemoryStore, vector: Any, k: int, **fields: Any) -> Any:
    from llama_index.core.vector_stores.types import VectorStoreQuery

    return store.search_ids(VectorStoreQuery(query_embedding=list(vector), similarity_top_k=k, **fields))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_equal_hits_come_in_the_order_of_their_ids(metric: str, tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, metric)
    put(store, vectors(100))
    twin = 30 * vectors(1, seed=1)
    put(store, np.repeat(twin, 40, axis=0), first=90)
    expected = sorted(uid(f"{i}") for i in range(90, 130))
    for k in (7, 40):
        ids, scores = search(store, twin[0], k)
        assert ids == expected[:k]
        assert len(set(scores)) == 1


def test_half_a_block_is_no_block(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "cosine")
    put(store, vectors(10))
    path = tmp_path / "vectors.log"
    whole = path.stat().st_size
    put(store, vectors(10), first=10)
    content = path.read_bytes()
    for length in (whole + 1, whole + 30, len(content) - 1):
        path.write_bytes(content[:length])
        assert MemoryStore(tmp_path, "cosine").count() == 10
    path.write_bytes(content[:-4] + b"\0\0\0\0")
    again = MemoryStore(tmp_path, "cosine")
    assert again.count() == 10
    put(again, vectors(3), first=20)
    assert (again.count(), MemoryStore(tmp_path, "cosine").count()) == (13, 13)


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    store, reader = MemoryStore(tmp_path, "l2"), MemoryStore(tmp_path, "l2")
    for edition in range(30):
        put(store, vectors(100, seed=edition))
        assert search(reader, vectors(100, seed=edition)[7], 1)[0] == [uid("7")]
    store.delete("d0")
    store.flush()
    for opened in (store, reader, MemoryStore(tmp_path, "l2")):
        assert opened.count() == 66
    assert (tmp_path / "vectors.log").stat().st_size < 200 * 1_200


def test_a_small_update_costs_little(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "cosine")
    put(store, vectors(500))
    before = (tmp_path / "vectors.log").stat().st_size
    put(store, vectors(1))
    assert (tmp_path / "vectors.log").stat().st_size - before < 500


def test_a_question_may_name_chunks_and_documents(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "dot")
    put(store, vectors(10), kind="post")
    found, _ = search(store, vectors(1)[0], 50, doc_ids=["d1"], node_ids=[uid("4"), uid("5")], filters=equal("kind", "post"))
    assert found == [uid("4")]
    assert search(store, vectors(1)[0], 50, filters=equal("kind", "page")) == ([], [])


def test_deleting_looks_at_what_waits_too(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path, "cosine")
    put(store, vectors(3), kind="post")
    store.upsert([chunk("9", vector=vectors(1)[0], document="d1", metadata={"kind": "page"})])
    store.delete("d1")
    store.delete_nodes(None, equal("kind", "page"))
    store.delete_nodes([uid("0"), "unknown"], equal("kind", "post"))
    store.flush()
    assert list(store.ids()) == [uid("2")]


def test_another_writer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.05)
    store = MemoryStore(tmp_path, "cosine")
    put(store, vectors(3))
    descriptor = os.open(tmp_path / "vectors.lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ComponentError, match=f"being written by process {os.getpid()}"):
        put(store, vectors(1), first=3)
    assert store.count() == 3
    os.close(descriptor)
    store.flush()
    assert store.count() == 4


def test_a_file_that_must_not_be_read_is_named(open_folder: Path, nobody: Any) -> None:
    put(MemoryStore(open_folder, "cosine"), vectors(3))
    (open_folder / "vectors.log").chmod(0)
    with nobody, pytest.raises(ComponentError, match="cannot be read"):
        MemoryStore(open_folder, "cosine").count()
