"""Qdrant in a folder: local mode and the engine in the process, one process at a time, whole after a failure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.vector_stores.types import VectorStoreQuery
from projects import Project

import ragkit_qdrant
from ragkit.errors import ComponentError
from ragkit.testing import build_context
from ragkit.testing.conformance.filtering import KEYS, METADATA, _problem, comparisons, one, several
from ragkit.testing.conformance.stores import Opened, chunk, uid, uids

QDRANT, EDGE = ragkit_qdrant.ragkit_vector_stores()
BOTH = pytest.mark.parametrize("component", [QDRANT, EDGE], ids=lambda component: component.name)

OPENS = """
import sys
import ragkit_qdrant
from pathlib import Path
from ragkit.errors import ComponentError
from ragkit.testing import build_context
component = {each.name: each for each in ragkit_qdrant.ragkit_vector_stores()}[sys.argv[1]]
try:
    store = component.build(component.options(), build_context(Path(sys.argv[2]), collection="handbook"))
except ComponentError as error:
    print(error, error.cure)
else:
    print("opened", store.count())
"""

Open = Callable[..., Any]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Open]:
    """Opens stores in one folder, which are closed at the end."""
    opened = []

    def connect(component: Any, **options: Any) -> Any:
        context = build_context(tmp_path / component.name, collection="handbook")
        opened.append(component.build(component.options.model_validate(options), context))
        return opened[-1]

    yield connect
    for store in opened:
        store.close()


def nearest(store: Any, vector: Any, k: int = 10) -> list[str]:
    ids: list[str] = store.search_ids(VectorStoreQuery(query_embedding=[float(x) for x in vector], similarity_top_k=k))[0]
    return ids


@BOTH
def test_another_process_is_refused_and_told_why(component: Any, connect: Open, tmp_path: Path) -> None:
    folder = tmp_path / component.name
    store = connect(component)
    store.upsert([chunk("a")])
    command = [sys.executable, "-c", OPENS, component.name, str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "another process" in told
    assert component.name in told
    assert str(folder) in told
    assert store.count() == 1
    store.close()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("opened 1")


@BOTH
def test_a_folder_that_is_broken(component: Any, connect: Open, tmp_path: Path) -> None:
    store = connect(component)
    store.upsert([chunk("a")])
    store.close()
    for file in (tmp_path / component.name).rglob("*.json"):
        file.write_text("{broken")
    with pytest.raises(ComponentError, match=f"{component.name} in ") as error:
        connect(component)
    assert "ragkit views repair" in error.value.cure


@BOTH
def test_a_pipeline_over_a_folder(component: Any, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", more=f"vector_store: {component.name}")
    project.write("a.md", "# Rivers\n\nThe Elbe is long.\n")
    project.ingest()
    project.write("a.md", "# Rivers\n\nThe Rhine is longer.\n")
    project.write("b.md", "# Hills\n\nThe Brocken is high.\n")
    project.ingest()
    assert "Rhine" in project.hits("The Rhine is longer.")[0]
    ledger, vectors, _ = project.ids()
    assert vectors == ledger != set()


# Local mode


def test_a_batch_is_written_whole_or_not_at_all(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from qdrant_client.local.persistence import CollectionPersistence

    store = connect(QDRANT)
    store.upsert([chunk("a")])
    persist, written = CollectionPersistence.persist, []

    def fail_at_the_fifth(self: Any, point: Any) -> None:
        written.append(point)
        if len(written) == 5:
            raise OSError("No space left on device")
        persist(self, point)

    with monkeypatch.context() as patch:
        patch.setattr(CollectionPersistence, "persist", fail_at_the_fifth)
        with pytest.raises(ComponentError, match="No space left") as error:
            store.upsert([chunk(f"{i}") for i in range(10)])
    assert error.value.cure
    store.close()
    store = connect(QDRANT)
    assert sorted(store.ids()) == uids("a")
    store.upsert([chunk(f"{i}") for i in range(10)])
    assert store.count() == 11


def test_local_mode_gives_exactly_the_nearest(connect: Open) -> None:
    vectors = np.random.default_rng(3).normal(size=(3_000, 48))
    store = connect(QDRANT, metric="l2")
    store.upsert([chunk(f"{i}", vector=vector) for i, vector in enumerate(vectors.tolist())])
    for question in np.random.default_rng(4).normal(size=(5, 48)):
        best = np.argsort(((vectors - question) ** 2).sum(axis=1))[:20]
        assert nearest(store, question, 20) == [uid(f"{i}") for i in best]


# Qdrant Edge


@pytest.mark.parametrize("quantization", ["none", "scalar", "binary"])
def test_the_graph_is_built_once_there_is_enough(connect: Open, monkeypatch: pytest.MonkeyPatch, quantization: str) -> None:
    from ragkit_qdrant import edge

    monkeypatch.setattr(edge, "_UNINDEXED", 2_000)
    random = np.random.default_rng(7)
    centres = random.normal(size=(40, 1_024))
    vectors = centres[random.integers(0, 40, 3_000)] + random.normal(size=(3_000, 1_024))
    store = connect(EDGE, m=8, ef_construct=32, quantization=quantization)
    for start in range(0, 3_000, 1_000):
        store.upsert([chunk(f"{i}", vector=vectors[i].tolist()) for i in range(start, start + 1_000)])
        store.flush()
        assert store.client.info().indexed_vectors_count == (0 if start < 2_000 else 3_000)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = 0
    for question in centres[:10] + random.normal(size=(10, 1_024)):
        found += len({uid(f"{i}") for i in np.argsort(-(unit @ question))[:10]} & {*nearest(store, question)})
    assert found >= 95
    store.delete_nodes([uid(f"{i}") for i in range(0, 3_000, 2)])
    store.flush()
    store.close()
    store = connect(EDGE, m=8, ef_construct=32, quantization=quantization)
    assert store.count() == 1_500
    assert {*nearest(store, centres[0], 2_000)} == {uid(f"{i}") for i in range(1, 3_000, 2)}


@pytest.mark.parametrize("kind", ["keyword", "integer", "float", "bool", "date"])
def test_filters_mean_the_same_with_payload_indexes(connect: Open, kind: str) -> None:
    store = connect(EDGE, payload_indexes=dict.fromkeys((key for key in KEYS), kind))
    store.upsert([chunk(name, "common", metadata=metadata) for name, metadata in METADATA.items()])
    opened = Opened(store, "cosine")
    operators = ("==", "!=", ">", "<=", "in", "nin", "any", "is_empty")
    wrong = [problem for operator in operators for filters in comparisons(operator) if (problem := _problem(opened, filters))]
    assert wrong == []
    assert len(store.client.info().payload_schema) >= (2 if kind == "bool" else len(KEYS))


def test_payload_indexes_are_added_when_the_store_is_opened(connect: Open) -> None:
    store = connect(EDGE)
    store.upsert([chunk(f"{i}", metadata={"year": 2000 + i, "draft": i % 2 == 0}) for i in range(30)])
    store.close()
    store = connect(EDGE, payload_indexes={"year": "integer", "draft": "bool"})
    assert {"metadata.year", "lists.year", "truths", "document"} == set(store.client.info().payload_schema)
    filters = several("and", one("year", ">", 2010), one("draft", "==", 1))
    ids, _ = store.search_ids(VectorStoreQuery(query_embedding=chunk("x").embedding, similarity_top_k=50, filters=filters))
    assert sorted(ids) == uids(f"{i}" for i in range(12, 30, 2))


def test_closing_builds_what_is_missing_of_the_graph(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragkit_qdrant import edge

    monkeypatch.setattr(edge, "_UNINDEXED", 10_000)
    vectors = np.random.default_rng(8).normal(size=(2_800, 1_024))
    store = connect(EDGE, m=4, ef_construct=8)
    store.upsert([chunk(f"{i}", vector=vector) for i, vector in enumerate(vectors.tolist())])
    store.flush()
    assert store.client.info().indexed_vectors_count == 0
    store.close()
    assert connect(EDGE, m=4, ef_construct=8).client.info().indexed_vectors_count == 2_800


def test_a_closed_store_says_so(connect: Open) -> None:
    store = connect(EDGE)
    store.upsert([chunk("a", vector=[1.0, 2.0])])
    store.close()
    with pytest.raises(ComponentError, match="closed") as error:
        nearest(store, [1.0, 2.0])
    assert error.value.cure
