"""The suite passes a store that has LlamaIndex's own methods alone, and claims little: several processes may write to it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from ragkit.components import Component, Options
from ragkit.testing import MemoryVectorStore
from ragkit.testing.conformance import VectorStoreSuite, overrides
from ragkit.testing.conformance.stores import chunk

OPERATORS = ["==", "!=", "in", "and", "or"]


class PlainStore(BasePydanticVectorStore):
    """Every call reads a file and writes it, under a lock: slow, and right."""

    stores_text: bool = False
    _folder: Path = PrivateAttr()

    def __init__(self, folder: Path) -> None:
        super().__init__(stores_text=False)
        self._folder = folder

    @property
    def client(self) -> Any:
        return None

    def add(self, nodes: Sequence[Any], **rest: Any) -> list[str]:
        with self._locked() as store:
            return store.add(nodes)

    def delete(self, ref_doc_id: str, **rest: Any) -> None:
        with self._locked() as store:
            store.delete(ref_doc_id)

    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **rest: Any) -> None:
        with self._locked() as store:
            store.delete_nodes(node_ids, filters)

    def clear(self) -> None:
        with self._locked() as store:
            store.clear()

    def query(self, query: Any, **rest: Any) -> Any:
        used = set(_operators(query.filters)) if query.filters else set()
        if used - set(OPERATORS):
            raise ValueError(f"cannot filter by {used}")
        with self._locked() as store:
            return store.query(query)

    @contextmanager
    def _locked(self) -> Iterator[MemoryVectorStore]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            store = MemoryVectorStore(self._folder)
            yield store
            store.flush()


def _operators(part: Any) -> Iterator[str]:
    if not hasattr(part, "filters"):
        yield part.operator.value
        return
    yield part.condition.value
    for inner in part.filters:
        yield from _operators(inner)


class TestPlainStore(VectorStoreSuite):
    component = Component(
        "plain",
        Options,
        lambda options, context: PlainStore(context.folder),
        capabilities={
            "processes": "server",
            "metrics": ["cosine"],
            "filters": OPERATORS,
            "delete": True,
            "upsert": False,
            "vectors": False,
        },
    )

    @overrides("every call reads the whole file: a tenth of it takes long enough")
    def test_ten_thousand_chunks(self, opener: Any) -> None:
        store = opener()
        store.put(*(chunk(f"{i}") for i in range(1_000)))
        assert store.count() == 1_000
