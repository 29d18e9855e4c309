"""Vectors in memory, compared one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters, VectorStoreQuery

from ragkit.builtin.memory.log import Row, State, read, write
from ragkit.components import Hits
from ragkit.filters import matches
from ragkit.stores import Candidates, StoreMethods, require_dimension, similarities, sync_folder, vector_of, write_lock

_WAIT_S = 60.0
"""How long to wait for another writer."""


class MemoryStore(StoreMethods, BasePydanticVectorStore):
    """Exact nearest neighbours by NumPy. Writes gather until `flush`; every search answers from the state flushed last."""

    stores_text: bool = False

    _path: Path = PrivateAttr()
    _metric: str = PrivateAttr()
    _state: State = PrivateAttr(default_factory=State)
    _pending: dict[str, Row | None] = PrivateAttr(default_factory=dict)
    _reading: Any = PrivateAttr(default_factory=threading.Lock)
    _writing: Any = PrivateAttr(default_factory=threading.RLock)

    def __init__(self, folder: Path, metric: str) -> None:
        super().__init__(stores_text=False)
        self._path = folder / "vectors.log"
        self._metric = metric

    @property
    def client(self) -> Any:
        """The rows by id."""
        return self._current().rows

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The most similar chunks, equal ones in the order of their ids."""
        vector, state = np.asarray(vector_of(query, "memory"), dtype=np.float32), self._current()
        require_dimension("memory", state.dim(), len(vector))
        positions = self._allowed(state, query)
        k = min(query.similarity_top_k, len(state.rows) if positions is None else len(positions))
        if k <= 0:
            return [], []
        matrix = state.matrix if positions is None else state.matrix[positions]
        lengths = state.lengths if positions is None else state.lengths[positions]
        length = float(np.linalg.norm(vector))
        rough: Any = matrix @ vector
        scale = float(lengths.max()) * length
        if self._metric == "cosine":
            rough, scale = rough / np.maximum(lengths * length, np.finfo(np.float32).tiny), 1.0
        elif self._metric == "l2":
            rough, scale = 2 * rough - lengths**2, (float(lengths.max()) + length) ** 2
        # Roughly, as such a product rounds by a row's place: those that may be among the best are compared anew.
        best = np.flatnonzero(rough >= np.partition(rough, len(rough) - k)[len(rough) - k] - 1e-5 * scale)
        scores = similarities(self._metric, vector.tolist(), matrix[best])
        ids = [state.ids[i] for i in (best if positions is None else np.asarray(positions)[best]).tolist()]
        found = Candidates(ids, scores).ordered().best(k)
        return list(found.ids), list(found.scores)

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        rows = self._current().rows
        return {id_: rows[id_].vector for id_ in ids if id_ in rows}  # type: ignore[misc]  # an array is a sequence

    def ids(self) -> Iterator[str]:
        return iter(self._current().ids)

    def count(self) -> int:
        """How many chunks can be found now; what waits for `flush` does not count."""
        return len(self._current().rows)

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Take nodes in at the next `flush`, in place of those with the same id."""
        with self._writing:
            rows = {node.node_id: _row(node) for node in nodes}
            waiting = (len(row.vector) for row in self._pending.values() if row is not None)
            dim = self._current().dim() or next(waiting, None)
            for row in rows.values():
                dim = dim or len(row.vector)
                require_dimension("memory", dim, len(row.vector))
            self._pending = {**self._pending, **rows}

    def delete_ids(self, ids: Sequence[str]) -> None:
        """Take these out at the next `flush`."""
        with self._writing:
            self._pending = {**self._pending, **dict.fromkeys(ids)}

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Take out every chunk of a document, at the next `flush`."""
        with self._writing:
            self.delete_ids([id_ for id_, row in self._coming().items() if row.document == ref_doc_id])

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> Sequence[str]:
        rows = self._coming()
        return [id_ for id_ in (rows if ids is None else ids) if id_ in rows and matches(filters, rows[id_].metadata)]

    def flush(self) -> None:
        """Append what has gathered to the file, durably."""
        with self._writing:
            if not self._pending:
                return
            with write_lock(self._path.with_suffix(".lock"), "memory", _WAIT_S):
                write(self._path, self._current(), self._pending)
            self._pending = {}

    def clear(self) -> None:
        """Remove every chunk, at once."""
        with self._writing:
            self.delete_ids(list(self._coming()))
            self.flush()

    def drop(self) -> None:
        """Remove the file; the store is empty then and can be used again."""
        with self._writing, write_lock(self._path.with_suffix(".lock"), "memory", _WAIT_S):
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
            self._pending = {}

    def close(self) -> None:
        """Let go of the memory."""
        with self._reading:
            self._state = State()

    def _coming(self) -> dict[str, Row]:
        """The rows as they will be after the next `flush`."""
        rows = {**self._current().rows, **self._pending}
        return {id_: row for id_, row in rows.items() if row is not None}

    def _allowed(self, state: State, query: VectorStoreQuery) -> list[int] | None:
        """Where the rows are that the query asks for; None for all."""
        if query.node_ids is None and query.doc_ids is None and (query.filters is None or not query.filters.filters):
            return None
        ids = None if query.node_ids is None else set(query.node_ids)
        documents = None if query.doc_ids is None else set(query.doc_ids)
        return [
            i
            for i, (id_, row) in enumerate(state.rows.items())
            if (ids is None or id_ in ids)
            and (documents is None or row.document in documents)
            and matches(query.filters, row.metadata)
        ]

    def _current(self) -> State:
        """The state as the file has it, read on from where it was."""
        with self._reading:
            self._state = read(self._path, self._state)
            return self._state


def _row(node: BaseNode) -> Row:
    metadata = {key: value for key, value in node.metadata.items() if value is not None}
    return Row(node.ref_doc_id, metadata, np.array(node.get_embedding(), dtype=np.float32))
