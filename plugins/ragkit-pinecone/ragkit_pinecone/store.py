"""LlamaIndex's Pinecone store with updates, ids as they are, ragkit's similarities, and waits until writes are visible."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.pinecone import PineconeVectorStore
from pydantic import PrivateAttr

from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matcher, matches
from ragkit.stores import Candidates, StoreMethods, nearest, require_dimension, similarities, vector_of
from ragkit_pinecone.collection import Collection
from ragkit_pinecone.namespace import Namespace
from ragkit_pinecone.records import DOCUMENT, fields, node_of, record
from ragkit_pinecone.service import Service
from ragkit_pinecone.where import translate

if TYPE_CHECKING:
    from ragkit_pinecone import PineconeOptions


class PineconeStore(StoreMethods, PineconeVectorStore):
    """One namespace of an index, reached when it is first needed. Of LlamaIndex's class only the face is left: that makes ids of
    its own, takes partial failures for success and connects when it is made."""

    _collection: Collection = PrivateAttr()
    _metric: str = PrivateAttr()

    def __init__(self, collection: Collection, name: str, metric: str, *, store_text: bool) -> None:
        super().__init__(namespace=name)
        self.stores_text = store_text
        self._collection = collection
        self._metric = metric

    @classmethod
    def open(cls, name: str, folder: Path, options: PineconeOptions) -> PineconeStore:
        """The store of a collection; Pinecone is not asked yet. Raises `ComponentError` without an API key."""
        key = options.api_key.get_secret_value() if options.api_key is not None else os.environ.get("PINECONE_API_KEY", "")
        if not key.strip():
            raise ComponentError(
                f"pinecone at {options.host} needs an API key",
                component="pinecone",
                cure="write `api_key: ${PINECONE_API_KEY}` under `vector_store`, and set that variable",
            )
        return cls(Collection(Service(options, key.strip()), name, folder), name, options.metric, store_text=options.store_text)

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        vector = vector_of(query, "pinecone")

        def search(records: Namespace) -> Candidates:
            self._collection.require(records, len(vector))
            if query.node_ids:
                return self._among(records, vector, query)
            return self._nearest(records, vector, query)

        found = self._collection.read(search, Candidates([], []))
        return list(found.ids), list(found.scores)

    def evaluates(self, filters: MetadataFilters) -> bool:
        """See `ragkit.components.TellsFilters`."""
        return translate(filters)[1]

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace vector, metadata and text of those with the same id; visible after `flush`."""
        unique = {node.node_id: node for node in nodes}
        made = [record(node, store_text=self.stores_text) for node in unique.values()]
        for entry in made:
            require_dimension("pinecone", len(made[0]["values"]), len(entry["values"]))
        if made:
            self._collection.write(lambda records: records.upsert(made), len(made[0]["values"]))

    def flush(self) -> None:
        """Wait until what this store wrote is visible to every reader."""
        self._collection.settle()

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of `ids` that are there."""
        return self._collection.read(lambda records: {id_: list(entry.values) for id_, entry in records.fetch(ids)}, {})

    def ids(self) -> Iterator[str]:
        """Every id, in order."""
        nothing: list[str] = []
        yield from self._collection.read(lambda records: list(records.ids()), nothing)

    def count(self) -> int:
        return self._collection.read(Namespace.count, 0)

    def drop(self) -> None:
        """Delete the namespace and the mark; the index stays."""
        self._collection.drop()

    def marker(self) -> Mapping[str, str] | None:
        return self._collection.marker()

    def mark(self, values: Mapping[str, str]) -> None:
        self._collection.mark(values)

    def close(self) -> None:
        """Close the connections."""
        self._collection.close()

    # What LlamaIndex asks for

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.PineconeStore"

    @classmethod
    def _initialize_pinecone_client(cls, *args: Any, **kwargs: Any) -> None:
        """LlamaIndex's class would connect here."""

    @property
    def client(self) -> Any:
        """Pinecone's client for the index, None as long as there is none."""
        return records.client if (records := self._collection.records) is not None else None

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove every chunk of a document."""
        self._collection.read(lambda records: records.delete_where({DOCUMENT: {"$eq": ref_doc_id}}), None)

    def delete_ids(self, ids: Sequence[str]) -> None:
        self._collection.read(lambda records: records.delete(ids), None)

    def clear(self) -> None:
        """Remove every chunk; the mark stays."""
        self._collection.read(Namespace.remove, None)

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> Sequence[str]:
        return [node.node_id for node in self.get_nodes(list(ids) if ids is not None else None, filters)]

    def nodes_of(self, ids: Sequence[str]) -> list[BaseNode]:
        return self.get_nodes(list(ids))

    def get_nodes(  # type: ignore[override]  # LlamaIndex's base has `MetadataFilters`, its Pinecone store a list of them
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The chunks with these ids (all, where None), in this order, of them those that `filters` let pass."""

        def get(records: Namespace) -> list[BaseNode]:
            records.settle()
            where = translate(filters)[0]
            if node_ids is None and where is not None:
                found = dict(records.passing(where))
            else:
                found = dict(records.fetch(list(records.ids()) if node_ids is None else node_ids))
            wanted = sorted(found) if node_ids is None else [id_ for id_ in dict.fromkeys(node_ids) if id_ in found]
            return [node_of(id_, found[id_].metadata) for id_ in wanted if matches(filters, fields(found[id_].metadata))]

        return self._collection.read(get, [])

    # How

    def _nearest(self, records: Namespace, vector: Sequence[float], query: VectorStoreQuery) -> Candidates:
        """Search in Pinecone; what its filters cannot say is judged here, over ever more candidates until `top_k` are found."""
        where, whole = translate(query.filters, query.doc_ids)
        if whole:
            return nearest(lambda n: self._scored(records.query(vector, n, where)), query.similarity_top_k)
        passes = matcher(query.filters)
        known: dict[str, Mapping[str, Any]] = {}
        return nearest(
            lambda n: self._scored(records.query_rows(vector, n, where, known)),
            query.similarity_top_k,
            lambda row: row is not None and passes(fields(row)),
        )

    def _among(self, records: Namespace, vector: Sequence[float], query: VectorStoreQuery) -> Candidates:
        """Compare exactly with the chunks `node_ids`: Pinecone filters by metadata, and has none for an id."""
        entries = {
            id_: entry
            for id_, entry in records.fetch(query.node_ids or [])
            if matches(query.filters, fields(entry.metadata))
            and (not query.doc_ids or (entry.metadata or {}).get(DOCUMENT) in query.doc_ids)
        }
        if not entries:
            return Candidates([], [])
        scores = similarities(self._metric, vector, [entry.values for entry in entries.values()])
        return Candidates(list(entries), scores).ordered().best(max(0, query.similarity_top_k))

    def _scored(self, found: Candidates) -> Candidates:
        """Pinecone's score of `l2` is the squared distance: less is more alike."""
        return Candidates(found.ids, [-score for score in found.scores], found.rows) if self._metric == "l2" else found
