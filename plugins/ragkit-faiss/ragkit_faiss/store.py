"""FAISS as a LlamaIndex vector store that can be updated, and read by others while it is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters, VectorStoreQuery

from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matches
from ragkit.stores import StoreMethods, require_dimension, vector_of
from ragkit_faiss import search
from ragkit_faiss.graph import Array
from ragkit_faiss.snapshot import Reader, Snapshot
from ragkit_faiss.writer import Limits, Row, Writer

if TYPE_CHECKING:
    from ragkit_faiss import FaissOptions


@dataclass
class _Pending:
    """What `flush` has to do: rows to put in, None for ids to take out."""

    changes: dict[str, Row | None] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)


class FaissStore(StoreMethods, BasePydanticVectorStore):
    """Vectors in a folder, compared one by one or through FAISS's HNSW. Writes gather in memory until `flush`.

    Every search answers from one whole state, the one that was flushed last, by whatever thread or process. It does not
    derive from LlamaIndex's `FaissVectorStore`: that holds one FAISS index, numbers its rows instead of keeping ids, and
    neither replaces, deletes nor filters, so nothing of it could stay.
    """

    stores_text: bool = False

    _metric: str = PrivateAttr()
    _ef: int = PrivateAttr()
    _reader: Reader = PrivateAttr()
    _writer: Writer = PrivateAttr()
    _pending: _Pending = PrivateAttr()

    def __init__(self, folder: Path, options: FaissOptions, limits: Limits | None = None) -> None:
        super().__init__(stores_text=False)
        self._metric = options.metric
        self._ef = options.ef_search
        self._reader = Reader(folder, options.identity_values())
        self._writer = Writer(folder, self._reader, limits or Limits(), options.timeout)
        self._pending = _Pending()

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        vector = np.asarray(vector_of(query, "faiss"), dtype=np.float32)
        snapshot, chosen = self._chosen(query)
        require_dimension("faiss", snapshot.manifest.dim or None, len(vector))
        if self._metric == "cosine":
            vector = vector / (np.sqrt(vector @ vector) or 1.0)
        return search.nearest(snapshot, self._metric, vector, query.similarity_top_k, self._ef, chosen)

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Every filter is evaluated here, over all chunks."""
        return True

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The vectors of those of `ids` that are there, as float32 rows; for `cosine` of length 1."""
        snapshot, rows = self._reader.rows(ids)
        return dict(zip(rows, snapshot.vectors[list(rows.values())], strict=True)) if rows else {}

    def ids(self) -> Iterator[str]:
        return iter(self._reader.current().ids())

    def count(self) -> int:
        """How many chunks can be found now; what waits for `flush` does not count."""
        return self._reader.current().count

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Take nodes in at the next `flush`, in place of those with the same id."""
        if not nodes:
            return
        dim = self._reader.current().manifest.dim or None
        with self._pending.lock:
            waiting = next((len(row.vector) for row in self._pending.changes.values() if row is not None), None)
            changes = {node.node_id: self._row(node, dim or waiting or len(nodes[0].get_embedding())) for node in nodes}
            for id_ in changes:
                self._pending.changes.pop(id_, None)
            self._pending.changes.update(changes)

    def delete_ids(self, ids: Sequence[str]) -> None:
        """Take these out at the next `flush`."""
        with self._pending.lock:
            self._pending.changes.update(dict.fromkeys(ids))

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> Sequence[str]:
        """The ids, of these (all, where None), of the chunks that `filters` let pass, those that wait for `flush` included."""
        return self._found(ids, filters)

    def flush(self) -> None:
        """Make what has gathered durable and visible."""
        with self._pending.lock:
            if self._pending.changes:
                self._writer.apply(self._pending.changes)
                self._pending.changes = {}

    def drop(self) -> None:
        """Remove the collection; the store is empty then and can be used again."""
        with self._pending.lock:
            self._writer.drop()
            self._pending.changes = {}

    def close(self) -> None:
        """Let go of files and memory. Who wrote first completes the graph, which may take a while after a large ingest."""
        with self._pending.lock:
            try:
                self._writer.finish()
            finally:
                self._reader.forget()

    # What LlamaIndex asks for

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.FaissStore"

    @property
    def client(self) -> Any:
        """The FAISS index in use, None where there is none; for looking only."""
        graph = self._reader.current().graph
        return None if graph is None else graph.index

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Take out every chunk of a document, at the next `flush`."""
        with self._pending.lock:
            self.delete_ids(self._found(None, None, ref_doc_id))

    def clear(self) -> None:
        """Remove every chunk, at once."""
        with self._pending.lock:
            self.delete_ids([*self.ids(), *self._pending.changes])
            self.flush()

    # How

    def _chosen(self, query: VectorStoreQuery) -> tuple[Snapshot, Array | None]:
        """The state to search, and which of its rows; None for all."""
        if query.node_ids is None:
            snapshot, rows = self._reader.current(), None
        else:
            snapshot, rows = self._reader.rows(query.node_ids)
        chosen = _passing(snapshot, query.filters, query.doc_ids)
        if rows is not None:
            among = np.zeros(snapshot.manifest.rows, dtype=np.bool_)
            among[list(rows.values())] = True
            chosen = among if chosen is None else among & chosen
        return snapshot, chosen

    def _found(self, ids: Sequence[str] | None, filters: MetadataFilters | None, document: str | None = None) -> list[str]:
        """The chunks that pass, as they will be after the next `flush`."""
        snapshot = self._reader.current()
        passing = _passing(snapshot, filters, None if document is None else [document])
        rows = snapshot.living() if passing is None else snapshot.living()[passing[snapshot.living()]]
        with self._pending.lock:
            changes = self._pending.changes
            found = [id_ for id_ in (snapshot.names[row] for row in rows.tolist()) if id_ not in changes]
            for id_, row in changes.items():
                if row is not None and document in (None, row.document) and matches(filters, row.metadata):
                    found.append(id_)
        wanted = None if ids is None else set(ids)
        return found if wanted is None else [id_ for id_ in found if id_ in wanted]

    def _row(self, node: BaseNode, dim: int) -> Row:
        vector = np.array(node.get_embedding(), dtype=np.float32)
        require_dimension("faiss", dim, len(vector))
        squares = float(vector @ vector)
        if not np.isfinite(squares):
            raise ComponentError(
                f"faiss: the vector of {node.node_id} has numbers that are infinite, too large or none",
                component="faiss",
                cure="look at the embedding",
            )
        if self._metric == "cosine" and squares:
            vector /= np.float32(np.sqrt(squares))
        return Row(vector, node.ref_doc_id, {key: value for key, value in node.metadata.items() if value is not None})


def _passing(snapshot: Snapshot, filters: MetadataFilters | None, documents: Sequence[str] | None) -> Array | None:
    """Which rows, dead ones included, pass; None for all."""
    if snapshot.epoch is None or (documents is None and (filters is None or not filters.filters)):
        return None
    return snapshot.epoch.passing(filters, documents, snapshot.manifest)
