"""One face for every store: the optional protocols where a store offers them, LlamaIndex's methods where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.components import (
    BoundsScores,
    Counts,
    Drops,
    Flushes,
    Hits,
    ListsIds,
    Marks,
    ReturnsVectors,
    ScoresIds,
    SearchesIds,
    Spec,
    TellsFilters,
    Upserts,
)
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters, VectorStoreQuery


class StoreAdapter:
    """A LlamaIndex store as ragkit uses it. What the store cannot do gives None, and `lacks` names it."""

    def __init__(self, store: BasePydanticVectorStore, spec: Spec) -> None:
        self.store = store
        self.name = spec.use
        self.capabilities: Mapping[str, Any] = spec.capabilities

    def lacks(self, *protocols: type) -> list[str]:
        """The names of those of `protocols` that the store does not offer."""
        return [protocol.__name__ for protocol in protocols if not isinstance(self.store, protocol)]

    def search(self, query: VectorStoreQuery) -> Hits:
        """Chunk ids and scores, best first."""
        if isinstance(self.store, SearchesIds):
            return self.store.search_ids(query)
        result = self.store.query(query)
        ids = list(result.ids or [node.node_id for node in result.nodes or []])
        return ids, [float(score) for score in result.similarities or [0.0] * len(ids)]

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether the store's engine evaluates filters that the store takes; one that does not tell is taken to do so."""
        return self.store.evaluates(filters) if isinstance(self.store, TellsFilters) else True

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        """The stored vectors of those of `ids` that are there, or None where the store gives none back."""
        return self.store.vectors(ids) if isinstance(self.store, ReturnsVectors) else None

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float] | None:
        """The keyword score of each of `ids`, or None where the store cannot tell."""
        return self.store.score_ids(query, ids) if isinstance(self.store, ScoresIds) else None

    def highest_score(self, query: str) -> float | None:
        """The highest keyword score that a chunk could get, or None where the store cannot tell."""
        return self.store.highest_score(query) if isinstance(self.store, BoundsScores) else None

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace those with the same id."""
        if not nodes:
            return
        if isinstance(self.store, Upserts):
            self.store.upsert(nodes)
            return
        self.delete([node.node_id for node in nodes])
        self.store.add(list(nodes))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove chunks; unknown ids are no error."""
        if not ids:
            return
        try:
            self.store.delete_nodes(list(ids))
        except NotImplementedError:
            raise ComponentError(
                f"the store {self.name!r} cannot delete single chunks (`delete_nodes`)",
                component=self.name,
                cure="choose another store",
            ) from None

    def flush(self) -> None:
        """Make what was written durable."""
        if isinstance(self.store, Flushes):
            self.store.flush()

    def count(self) -> int | None:
        """How many chunks the store holds, or None where it cannot tell."""
        return self.store.count() if isinstance(self.store, Counts) else None

    def ids(self) -> Iterator[str] | None:
        """All ids, or None where the store cannot enumerate them."""
        return self.store.ids() if isinstance(self.store, ListsIds) else None

    def drop(self) -> None:
        """Remove the collection with everything in it."""
        if isinstance(self.store, Drops):
            self.store.drop()
        else:
            self.store.clear()

    def marker(self) -> Mapping[str, str] | None:
        """The mark that the store keeps, or None where it has none."""
        return self.store.marker() if isinstance(self.store, Marks) else None

    def mark(self, values: Mapping[str, str]) -> bool:
        """Leave a mark with the collection; False where the store cannot."""
        if isinstance(self.store, Marks):
            self.store.mark(values)
            return True
        return False

    def close(self) -> None:
        """Let go of files and connections, where the store has a `close`."""
        close = getattr(self.store, "close", None)
        if callable(close):
            close()
