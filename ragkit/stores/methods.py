"""LlamaIndex's methods over ragkit's protocols, so that both worlds see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.components import Hits
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery, VectorStoreQueryResult


class StoreMethods:
    """What a store inherits first, before its LlamaIndex class: it then only has to say the first six.

    A store that reads questions as text sets `is_embedding_query` to False, as LlamaIndex has it. `async` twins run in a
    thread, so they never hold up the event loop; a store with a client of its own for that overrides them.
    """

    if TYPE_CHECKING:
        stores_text: bool  # LlamaIndex's base has it

    # What the store says

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace all of those with the same id; of an id that comes twice the last counts."""
        raise NotImplementedError

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """See `ragkit.components.SearchesIds`."""
        raise NotImplementedError

    def ids(self) -> Iterator[str]:
        """Every id."""
        raise NotImplementedError

    def delete_ids(self, ids: Sequence[str]) -> None:
        """Remove the chunks with these ids; unknown ids are no error. Ids come once, and at least one."""
        raise NotImplementedError

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> Sequence[str]:
        """The ids, of these (all, where None), of the chunks that `filters` let pass."""
        raise NotImplementedError

    def nodes_of(self, ids: Sequence[str]) -> list[BaseNode]:
        """The chunks with these ids, in this order. Only asked of a store that keeps the text."""
        raise NotImplementedError

    def flush(self) -> None:
        """Make what was written durable and visible. Nothing to do where every call does."""

    # What LlamaIndex asks for

    def add(self, nodes: Sequence[BaseNode], **add_kwargs: Any) -> list[str]:
        """Like `upsert`, and findable at once; returns the ids."""
        self.upsert(nodes)
        self.flush()
        return [node.node_id for node in nodes]

    def delete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Remove the chunks with these ids, of them those that `filters` let pass; unknown ids are no error."""
        if filters is not None:
            node_ids = self.passing(filters, node_ids)
        unique = list(dict.fromkeys(node_ids or ()))
        if unique:
            self.delete_ids(unique)

    def clear(self) -> None:
        """Remove every chunk; the collection and its mark stay."""
        self.delete_nodes(list(self.ids()))

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """The hits of `search_ids`; with nodes only where the store keeps the text."""
        from llama_index.core.vector_stores.types import VectorStoreQueryResult

        ids, scores = self.search_ids(query)
        nodes = self.nodes_of(ids) if self.stores_text else None
        return VectorStoreQueryResult(nodes=nodes, ids=ids, similarities=scores)

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return await asyncio.to_thread(self.query, query, **kwargs)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        await asyncio.to_thread(self.delete, ref_doc_id, **delete_kwargs)  # type: ignore[attr-defined]  # LlamaIndex's own

    async def adelete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **delete_kwargs)

    async def aclear(self) -> None:
        await asyncio.to_thread(self.clear)


def vector_of(query: VectorStoreQuery, component: str) -> Sequence[float]:
    """The question's vector. Raises `ComponentError` for a question without one, or of a mode other than the default."""
    if query.mode.value != "default":
        raise ComponentError(f"{component} has no query mode {query.mode.value!r}", component=component, cure="use `default`")
    if query.query_embedding is None:
        raise ComponentError(f"{component} is asked by a vector, and the query has none", component=component)
    return query.query_embedding


def require_dimension(component: str, held: int | None, given: int) -> None:
    """Raise `ComponentError` where a collection of vectors of `held` numbers meets one of `given`."""
    if held is not None and held != given:
        raise ComponentError(
            f"{component}: the collection holds vectors of dimension {held}, not {given}",
            component=component,
            cure="the collection holds vectors of another model; `ragkit ingest` builds a new one",
        )
