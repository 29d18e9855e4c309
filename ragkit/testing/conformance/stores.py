"""A store as ragkit uses it, and the chunks that the tests put in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from ragkit.components import Counts, Drops, Flushes, Hits, ListsIds, Marks, SearchesIds, Upserts

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery

MANY = 10_000
"""How many hits are asked for where all are wanted."""


@cache
def uid(name: str) -> str:
    """The id of the chunk that a test calls `name`; ids of chunks are UUIDs."""
    return str(uuid5(NAMESPACE_URL, f"ragkit:{name}"))


def uids(names: Iterable[str]) -> list[str]:
    """The sorted ids of the chunks called `names`."""
    return sorted(map(uid, names))


@cache
def _embed() -> Callable[[str], list[float]]:
    from ragkit.testing.models import FakeEmbedding

    return FakeEmbedding(dim=64).vector


def vector_of(text: str) -> list[float]:
    """The vector of a text, of length 1: it points where those of texts with the same words do."""
    return _embed()(text)


def chunk(
    name: str,
    text: str = "common",
    *,
    vector: Sequence[float] | None = None,
    document: str = "handbook",
    metadata: Mapping[str, Any] | None = None,
) -> TextNode:
    """A chunk as the host hands it over: with an id, text, vector, its document's id and metadata."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    return TextNode(
        id_=uid(name),
        text=text,
        embedding=vector_of(text) if vector is None else [float(value) for value in vector],
        metadata=dict(metadata or {}),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
    )


class Opened:
    """An open store. What it lacks of the optional protocols is done with LlamaIndex's methods, as the host does it.

    `metric` is a vector store's, None for a keyword store.
    """

    def __init__(self, store: BasePydanticVectorStore, metric: str | None) -> None:
        self.store = store
        self.metric = metric
        self.dimension = 64
        """Of the vectors that were written last."""
        self._near = -1.0 if metric == "l2" else 0.5

    # Writing

    def write(self, *nodes: TextNode) -> None:
        """Add or replace, without a flush."""
        if isinstance(self.store, Upserts):
            self.store.upsert(nodes)
        else:
            self.store.delete_nodes([node.node_id for node in nodes])
            self.store.add(list(nodes))
        self.dimension = len(nodes[0].embedding or ())

    def put(self, *nodes: TextNode) -> None:
        """Add or replace, and flush."""
        self.write(*nodes)
        self.flush()

    def remove(self, *ids: str) -> None:
        """Delete by id, and flush."""
        self.store.delete_nodes(list(ids))
        self.flush()

    def remove_document(self, document: str) -> None:
        """Delete every chunk of a document, and flush."""
        self.store.delete(document)
        self.flush()

    def flush(self) -> None:
        if isinstance(self.store, Flushes):
            self.store.flush()

    def drop(self) -> None:
        if isinstance(self.store, Drops):
            self.store.drop()
        else:
            self.store.clear()

    def mark(self, values: Mapping[str, str]) -> None:
        """Leave a mark, where the store keeps one; for the others the host does."""
        if isinstance(self.store, Marks):
            self.store.mark(values)

    def close(self) -> None:
        close = getattr(self.store, "close", None)
        if callable(close):
            close()

    # Asking

    def query(self, question: str | Sequence[float], k: int = 10, **fields: Any) -> VectorStoreQuery:
        """A question: a text, or for a vector store also a vector."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        if self.metric is None:
            return VectorStoreQuery(query_str=str(question), similarity_top_k=k, **fields)
        vector = vector_of(question) if isinstance(question, str) else [float(value) for value in question]
        return VectorStoreQuery(query_embedding=vector, similarity_top_k=k, **fields)

    def search(self, question: str | Sequence[float], k: int = 10, **fields: Any) -> Hits:
        """Ids and scores, best first."""
        return self.ask(self.query(question, k, **fields))

    def ask(self, query: VectorStoreQuery) -> Hits:
        if isinstance(self.store, SearchesIds):
            ids, scores = self.store.search_ids(query)
            return list(ids), list(scores)
        result = self.store.query(query)
        ids = list(result.ids or [node.node_id for node in result.nodes or []])
        return ids, [float(score) for score in result.similarities or []]

    def about(self, word: str, k: int = MANY, **fields: Any) -> list[str]:
        """The sorted ids of the chunks in whose text `word` is at least every other word."""
        ids, scores = self.search(word, k, **fields)
        return sorted(id_ for id_, score in zip(ids, scores, strict=True) if self.metric is None or score > self._near)

    def ids(self) -> list[str]:
        """All ids, sorted; of a store that cannot list them, those of the chunks with the word `common`."""
        if isinstance(self.store, ListsIds):
            return sorted(self.store.ids())
        return sorted(self.search([1.0] * self.dimension if self.metric else "common", MANY)[0])

    def count(self) -> int:
        return self.store.count() if isinstance(self.store, Counts) else len(self.ids())
