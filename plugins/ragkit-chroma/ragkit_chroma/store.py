"""LlamaIndex's `ChromaVectorStore` with updates that update, honest scores, and ragkit's optional protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromadb
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import ChromaError
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.vector_stores.chroma import ChromaVectorStore

from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matches
from ragkit_chroma.leftovers import remove_orphans
from ragkit_chroma.records import DOCUMENT, MARK, fields, plain, values
from ragkit_chroma.similarity import SPACES, exact, similarity
from ragkit_chroma.where import translate

if TYPE_CHECKING:
    from ragkit_chroma import ChromaOptions

_TIES = 1_000
"""So many hits beyond those wanted are fetched for the sake of a stable order among equal ones."""


class ChromaStore(ChromaVectorStore):
    """A collection of an embedded Chroma. Every call that returns has been written to Chroma's log, so it survives a kill."""

    _client: Any = PrivateAttr()
    _chroma: Any = PrivateAttr()
    _folder: Path = PrivateAttr()
    _metric: str = PrivateAttr()
    _batch: int = PrivateAttr()

    def __init__(self, folder: Path, client: ClientAPI, collection: Any, metric: str, *, store_text: bool) -> None:
        super().__init__(chroma_collection=collection, collection_name=collection.name, stores_text=store_text)
        self.stores_text = store_text
        self._folder = folder
        self._client = client
        self._chroma = collection
        self._metric = metric
        self._batch = client.get_max_batch_size()

    @classmethod
    def open(cls, folder: Path, name: str, options: ChromaOptions) -> ChromaStore:
        """Open the collection `name` of the Chroma in `folder`; a new one gets the options' index.

        Raises `ComponentError` where Chroma cannot open the folder.
        """
        hnsw: Any = {
            "space": SPACES[options.metric],
            "max_neighbors": options.m,
            "ef_construction": options.ef_construction,
            "ef_search": options.ef_search,
        }
        try:
            client = chromadb.PersistentClient(path=str(folder), settings=Settings(anonymized_telemetry=False))
            collection = client.get_or_create_collection(name, embedding_function=None, configuration={"hnsw": hnsw})
            if (collection.configuration.get("hnsw") or {}).get("ef_search") != options.ef_search:
                collection.modify(configuration={"hnsw": {"ef_search": options.ef_search}})
        except (ChromaError, ValueError, OSError) as error:
            raise ComponentError(
                f"Chroma cannot open the collection {name!r} in {folder}: {error}",
                component="chroma",
                cure="check that the folder is writable and belongs to this version of Chroma",
            ) from error
        return cls(folder, client, collection, options.metric, store_text=options.store_text)

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        ids, scores, _ = self._search(query, [])
        return ids, scores

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace vector, metadata and text of those with the same id."""
        unique = {node.node_id: node for node in nodes}
        for batch in _batches(list(unique.values()), self._batch):
            ids = [node.node_id for node in batch]
            metadatas = [values(node) for node in batch]
            self._forget_keys(ids, metadatas)
            with _told():
                self._chroma.upsert(
                    ids=ids,
                    embeddings=[node.get_embedding() for node in batch],
                    metadatas=metadatas,
                    documents=[plain(node) for node in batch] if self.stores_text else None,
                )

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of `ids` that are there, as float rows."""
        found: dict[str, Sequence[float]] = {}
        for batch in _batches(list(dict.fromkeys(ids)), self._batch):
            with _told():
                answer = self._chroma.get(ids=batch, include=["embeddings"])
            found.update(zip(answer["ids"], answer["embeddings"], strict=True))
        return found

    def ids(self) -> Iterator[str]:
        """Every id, read in pages; the collection must not change meanwhile."""
        offset = 0
        while True:
            with _told():
                page = self._chroma.get(include=[], limit=self._batch, offset=offset)["ids"]
            yield from page
            if len(page) < self._batch:
                return
            offset += len(page)

    def count(self) -> int:
        with _told():
            return int(self._chroma.count())

    def drop(self) -> None:
        """Remove the collection; the store is not usable afterwards."""
        with _told():
            self._client.delete_collection(self._chroma.name)
        remove_orphans(self._folder)

    def marker(self) -> Mapping[str, str] | None:
        with _told():
            metadata = self._client.get_collection(self._chroma.name, embedding_function=None).metadata or {}
        marked = {key.removeprefix(MARK): str(value) for key, value in metadata.items() if key.startswith(MARK)}
        return marked or None

    def mark(self, values: Mapping[str, str]) -> None:
        with _told():
            self._chroma.modify(metadata={MARK + key: value for key, value in values.items()})

    def close(self) -> None:
        """Let go of the folder; another client of this process may open it afterwards."""
        self._client.close()

    # What LlamaIndex asks for

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.ChromaStore"

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Like `upsert`; returns the ids."""
        self.upsert(nodes)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove every chunk of a document."""
        with _told():
            self._chroma.delete(where={DOCUMENT: ref_doc_id})

    def delete_nodes(  # type: ignore[override]  # LlamaIndex's base has `MetadataFilters`, its Chroma store a list of them
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove the chunks with these ids, of them those that `filters` let pass; unknown ids are no error."""
        if filters is not None:
            node_ids = [node.node_id for node in self.get_nodes(node_ids, filters)]
        for batch in _batches(list(dict.fromkeys(node_ids or ())), self._batch):
            with _told():
                self._chroma.delete(ids=batch)

    def get_nodes(  # type: ignore[override]  # as above
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The chunks with these ids (all, where None), of them those that `filters` let pass."""
        nodes: list[BaseNode] = []
        for batch in _batches(list(self.ids() if node_ids is None else dict.fromkeys(node_ids)), self._batch):
            with _told():
                answer = self._chroma.get(ids=batch, include=["metadatas", "documents"])
            rows = zip(answer["ids"], answer["documents"], answer["metadatas"], strict=True)
            nodes.extend(_node(id_, text, metadata) for id_, text, metadata in rows if matches(filters, fields(metadata)))
        return nodes

    def clear(self) -> None:
        self.delete_nodes(list(self.ids()))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The nearest chunks with ragkit's similarities; `nodes` only where the store keeps the text."""
        if query.mode is not VectorStoreQueryMode.DEFAULT:
            raise ComponentError(f"chroma has no query mode {query.mode.value!r}", component="chroma", cure="use `default`")
        if not self.stores_text:
            ids, scores = self.search_ids(query)
            return VectorStoreQueryResult(ids=ids, similarities=scores)
        ids, scores, rows = self._search(query, ["documents", "metadatas"])
        nodes = [_node(id_, row["documents"], row["metadatas"]) for id_, row in zip(ids, rows, strict=True)]
        return VectorStoreQueryResult(nodes=nodes, ids=ids, similarities=scores)

    # How

    def _search(self, query: VectorStoreQuery, include: list[str]) -> tuple[list[str], list[float], list[dict[str, Any]]]:
        """Search in Chroma; what its filters cannot say is judged here, over ever more candidates until `k` are found.

        Equal hits come in the order of their ids. Chroma leaves to chance which of them it returns: all are fetched.
        """
        if query.query_embedding is None:
            raise ComponentError("chroma is asked by a vector, and the query has none", component="chroma")
        where, whole = translate(query.filters, query.doc_ids)
        only = self._known(query.node_ids) if query.node_ids else None
        wanted = query.similarity_top_k if only is None else min(query.similarity_top_k, len(only))
        # One more than wanted shows whether the last hit has equals that were cut off.
        asked = wanted + 1 if whole else 4 * wanted
        wide = include if whole else list({*include, "metadatas"})
        while wanted > 0:
            ids, scores, rows = self._ask(query.query_embedding, asked, where, only, wide)
            passing = [i for i, row in enumerate(rows) if whole or matches(query.filters, fields(row["metadatas"]))]
            kept = passing[:wanted]
            if len(ids) < asked or (len(kept) == wanted and (scores[kept[-1]] > scores[-1] or asked > _TIES + 4 * wanted)):
                return [ids[i] for i in kept], [scores[i] for i in kept], [rows[i] for i in kept]
            asked *= 4
        return [], [], []

    def _ask(
        self, vector: Sequence[float], k: int, where: dict[str, Any] | None, only: list[str] | None, include: list[str]
    ) -> tuple[list[str], list[float], list[dict[str, Any]]]:
        with _told():
            answer = self._chroma.query(
                query_embeddings=[list(vector)], n_results=k, where=where, ids=only, include=["distances", *include]
            )
            ids = answer["ids"][0]
            scores = [similarity(self._metric, distance) for distance in answer["distances"][0]]
            rows = [{field: answer[field][0][i] for field in include} for i in range(len(ids))]
            if len(ids) < k:
                # Few pass the filter, or HNSW cannot reach all: vectors that are nearly alike can cut a graph in pieces.
                passing = self._chroma.get(ids=only, where=where, include=[])["ids"]
                missed = list(set(passing) - set(ids))
                for batch in _batches(missed, self._batch):
                    more = self._chroma.get(ids=batch, include=["embeddings", *include])
                    ids = [*ids, *more["ids"]]
                    scores = [*scores, *exact(self._metric, vector, more["embeddings"])]
                    rows += [{field: more[field][i] for field in include} for i in range(len(more["ids"]))]
        order = sorted(range(len(ids)), key=lambda i: (-scores[i], ids[i]))[:k]
        return [ids[i] for i in order], [scores[i] for i in order], [rows[i] for i in order]

    def _known(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids` that are there: Chroma fails on a query among ids that it does not have."""
        known: list[str] = []
        for batch in _batches(list(dict.fromkeys(ids)), self._batch):
            with _told():
                known.extend(self._chroma.get(ids=batch, include=[])["ids"])
        return known

    def _forget_keys(self, ids: list[str], metadatas: list[dict[str, Any]]) -> None:
        """Chroma merges new metadata into old: name the keys that are gone with None, which removes them."""
        with _told():
            answer = self._chroma.get(ids=ids, include=["metadatas"])
        before = dict(zip(answer["ids"], answer["metadatas"], strict=True))
        for id_, metadata in zip(ids, metadatas, strict=True):
            metadata.update(dict.fromkeys(set(before.get(id_) or ()) - set(metadata)))


@contextmanager
def _told() -> Iterator[None]:
    """Turn Chroma's errors into `ComponentError`s that say what to do."""
    try:
        yield
    except (ChromaError, ValueError, TypeError) as error:
        cure = "run `ragkit views verify`; a collection that was changed behind ragkit's back is built anew once it is dropped"
        if "dimension" in str(error):
            cure = "the collection holds vectors of another model; `ragkit ingest` builds a new one"
        raise ComponentError(f"Chroma: {error}", component="chroma", cure=cure) from error


def _node(id_: str, text: str | None, metadata: Mapping[str, Any] | None) -> TextNode:
    document = (metadata or {}).get(DOCUMENT)
    node = TextNode(id_=id_, text=text or "", metadata=fields(metadata))
    if document is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=str(document))
    return node


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
