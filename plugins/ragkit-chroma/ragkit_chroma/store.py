"""LlamaIndex's `ChromaVectorStore` with updates that update, honest scores, and ragkit's optional protocols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery
from llama_index.vector_stores.chroma import ChromaVectorStore

from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matcher
from ragkit.stores import CANDIDATES, Candidates, StoreMethods, batches, nearest, similarities, vector_of
from ragkit_chroma.records import DOCUMENT, MARK, fields, node_of, parcels, plain, values
from ragkit_chroma.similarity import SPACES, undone
from ragkit_chroma.where import Where, predicates, translate

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

    from ragkit_chroma import ChromaOptions
    from ragkit_chroma.places import Limits, Place


class ChromaStore(StoreMethods, ChromaVectorStore):  # type: ignore[misc]  # theirs is narrower than LlamaIndex's own base
    """A collection of a Chroma, wherever that is. Every call that returns has been written to Chroma's log."""

    _collection: Any = PrivateAttr()
    _place: Any = PrivateAttr()
    _limits: Any = PrivateAttr()
    _metric: str = PrivateAttr()

    def __init__(self, place: Place, collection: Collection, metric: str, *, store_text: bool) -> None:
        super().__init__(chroma_collection=collection, collection_name=collection.name)
        self.stores_text = store_text
        self._place = place
        self._limits: Limits = place.limits
        self._metric = metric

    @classmethod
    def open(cls, place: Place, name: str, options: ChromaOptions) -> ChromaStore:
        """Open the collection `name`; a new one gets the options' index.

        Raises `ComponentError` where Chroma cannot, and for a collection that measures otherwise than `options.metric` says.
        """
        hnsw = {
            "space": SPACES[options.metric],
            "max_neighbors": options.m,
            "ef_construction": options.ef_construction,
            "ef_search": options.ef_search,
        }
        try:
            store = cls(place, place.open(name, hnsw), options.metric, store_text=options.store_text)
            store._require_space(hnsw["space"])
            store._search_broadly(options.ef_search)
        except BaseException:
            place.close()
            raise
        return store

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        vector = vector_of(query, "chroma")
        where, whole = self._where(query.filters, query.doc_ids)
        judged = matcher(query.filters)
        passes = None if whole else lambda row: judged(fields(row))
        if query.node_ids:
            these = self._exactly(vector, list(dict.fromkeys(query.node_ids)), where, rows=not whole)
            best = nearest(lambda _: these, min(query.similarity_top_k, len(these.ids)), passes, most=len(these.ids))
        else:
            best = nearest(lambda n: self._ask(vector, n, where, rows=not whole), query.similarity_top_k, passes)
        return list(best.ids), list(best.scores)

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether Chroma evaluates all of `filters`; what it cannot is judged here, over more candidates."""
        return self._where(filters)[1]

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace vector, metadata and text of those with the same id."""
        unique = {node.node_id: node for node in nodes}
        text = self.stores_text
        for parcel in parcels(list(unique.values()), self._limits.records, self._limits.weight, with_text=text):
            ids = [node.node_id for node in parcel]
            metadatas = [values(node) for node in parcel]
            self._forget_keys(ids, metadatas)
            self._do(
                self._collection.upsert,
                ids=ids,
                embeddings=[node.get_embedding() for node in parcel],
                metadatas=metadatas,
                documents=[plain(node) for node in parcel] if text else None,
            )

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of `ids` that are there, as float rows."""
        found: dict[str, Sequence[float]] = {}
        for answer in self._records(list(dict.fromkeys(ids)), ["embeddings"]):
            found.update(zip(answer["ids"], answer["embeddings"], strict=True))
        return found

    def ids(self) -> Iterator[str]:
        """Every id, read in pages; the collection must not change meanwhile."""
        return self._listed(None)

    def count(self) -> int:
        return int(self._do(self._collection.count))

    def delete_ids(self, ids: Sequence[str]) -> None:
        for batch in batches(ids, self._limits.records):
            self._do(self._collection.delete, ids=batch)

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> list[str]:
        return [node.node_id for node in self.get_nodes(ids, filters)]

    def nodes_of(self, ids: Sequence[str]) -> list[BaseNode]:
        found = {node.node_id: node for node in self.get_nodes(ids)}
        return [found[id_] for id_ in ids if id_ in found]

    def drop(self) -> None:
        """Remove the collection; the store is not usable afterwards."""
        self._place.remove(self._collection.name)

    def marker(self) -> Mapping[str, str] | None:
        """The mark of the collection that has the name now.

        Where another process has built the collection anew since this one opened it, the new one is used from here on.
        """
        now = self._place.find(self._collection.name)
        marked = {key.removeprefix(MARK): str(value) for key, value in (now.metadata or {}).items() if key.startswith(MARK)}
        if marked and now.id != self._collection.id:
            self._collection = now
        return marked or None

    def mark(self, values: Mapping[str, str]) -> None:
        self._do(self._collection.modify, metadata={MARK + key: value for key, value in values.items()})

    def close(self) -> None:
        """Let go of the folder or the connections; of a folder, another client may open it afterwards."""
        self._place.close()

    # What LlamaIndex asks for beyond `StoreMethods`

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.ChromaStore"

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove every chunk of a document."""
        self._do(self._collection.delete, where={DOCUMENT: ref_doc_id})

    def get_nodes(  # type: ignore[override]  # LlamaIndex's base has `MetadataFilters`, its Chroma store a list of them
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """The chunks with these ids (all, where None), of them those that `filters` let pass."""
        passes = matcher(filters)
        ids = list(self.ids() if node_ids is None else dict.fromkeys(node_ids))
        nodes: list[BaseNode] = []
        for answer in self._records(ids, ["metadatas", "documents"]):
            rows = zip(answer["ids"], answer["documents"], answer["metadatas"], strict=True)
            nodes.extend(node_of(id_, text, metadata) for id_, text, metadata in rows if passes(fields(metadata)))
        return nodes

    # How

    def _do(self, call: Any, **arguments: Any) -> Any:
        return self._place.do(partial(call, **arguments))

    def _records(self, ids: Sequence[str], include: list[str], where: Where | None = None) -> Iterator[Any]:
        """Chroma's records with these ids, as its answers to as many questions as that takes."""
        for batch in batches(ids, self._limits.records):
            yield self._do(self._collection.get, ids=batch, where=where, include=include)

    def _listed(self, where: Where | None) -> Iterator[str]:
        """The ids of what `where` lets pass, read in pages."""
        offset, size = 0, self._limits.records
        while True:
            page = self._do(self._collection.get, where=where, include=[], limit=size, offset=offset)["ids"]
            yield from page
            if len(page) < size:
                return
            offset += size

    def _where(self, filters: MetadataFilters | None, documents: Sequence[str] | None = None) -> tuple[Where | None, bool]:
        """See `translate`; what has more predicates than the server takes is not for Chroma."""
        where, whole = translate(filters, documents)
        if self._limits.predicates is not None and predicates(where) > self._limits.predicates:
            return translate(None, documents)[0], False
        return where, whole

    def _ask(self, vector: Sequence[float], n: int, where: Where | None, *, rows: bool) -> Candidates:
        """The `n` nearest, as Chroma's index finds them, with their metadata as rows."""
        n = min(n, self._limits.hits or n)
        include = ["distances", "metadatas"] if rows else ["distances"]
        answer = self._do(self._collection.query, query_embeddings=[vector], n_results=n, where=where, include=include)
        found = Candidates(answer["ids"][0], undone(self._metric, answer["distances"][0]), answer["metadatas"][0] if rows else ())
        if len(found.ids) == n:
            return found
        # Few pass the filter, or the index cannot reach all: vectors that are nearly alike can cut a graph in pieces, and a
        # write that goes on beside can hide one. (To compare numbers with `count` would miss one that a deletion makes up for.)
        reached = set(found.ids)
        missed = [id_ for id_ in islice(self._listed(where), CANDIDATES) if id_ not in reached]
        more = self._exactly(vector, missed, None, rows=rows)
        return Candidates([*found.ids, *more.ids], [*found.scores, *more.scores], [*found.rows, *more.rows]).ordered().best(n)

    def _exactly(self, vector: Sequence[float], ids: Sequence[str], where: Where | None, *, rows: bool) -> Candidates:
        """Those of `ids` that are there and that `where` lets pass, compared without the index."""
        known: list[str] = []
        scores: list[float] = []
        metadatas: list[Any] = []
        for answer in self._records(ids, ["embeddings", "metadatas"] if rows else ["embeddings"], where):
            if answer["ids"]:
                known += answer["ids"]
                scores += similarities(self._metric, vector, answer["embeddings"])
                metadatas += answer["metadatas"] if rows else ()
        return Candidates(known, scores, metadatas)

    def _forget_keys(self, ids: list[str], metadatas: list[dict[str, Any]]) -> None:
        """Chroma merges new metadata into old: name the keys that are gone with None, which removes them."""
        before: dict[str, Any] = {}
        for answer in self._records(ids, ["metadatas"]):
            before.update(zip(answer["ids"], answer["metadatas"], strict=True))
        for id_, metadata in zip(ids, metadatas, strict=True):
            metadata.update(dict.fromkeys(set(before.get(id_) or ()) - set(metadata)))

    def _require_space(self, space: object) -> None:
        """Refuse a collection with another metric: under the name of ragkit's collections, somebody else made it."""
        configuration = self._collection.configuration
        held = (configuration.get("hnsw") or configuration.get("spann") or {}).get("space")
        if held != space:
            raise ComponentError(
                f"Chroma at {self._place.address}: the collection {self._collection.name!r} measures {held!r} instead of "
                f"{space!r}, so ragkit did not make it",
                component="chroma",
                cure="rename that collection, which ragkit never does, or choose another `name` in the YAML",
            )

    def _search_broadly(self, ef_search: int) -> None:
        """Give a collection of ragkit's another `ef_search`. Chroma Cloud's index (SPANN) has none to set."""
        hnsw = self._collection.configuration.get("hnsw")
        ours = not self._place.shared or any(key.startswith(MARK) for key in self._collection.metadata or {})
        if hnsw and ours and hnsw.get("ef_search") != ef_search:
            self._do(self._collection.modify, configuration={"hnsw": {"ef_search": ef_search}})
