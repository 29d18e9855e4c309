"""Retrievers that are legs: they find ids, and hydrate only what they hand out. They use the contracts alone."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.components import Hits, Leg

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

_ATTEMPTS = 3
"""How often a search is repeated when its hits are deleted between search and hydration."""


class IdsRetriever(BaseRetriever):
    """A retriever that is a leg: it searches ids and hydrates only what it hands out."""

    name: str
    query_settings: frozenset[str] = frozenset()
    """What `Run.settings` may override."""

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self._context = context

    @abstractmethod
    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k`, best first."""

    @abstractmethod
    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The true score of each of `ids`, or None."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        run = self._context.run(query_bundle)
        nodes: list[NodeWithScore] = []
        for _ in range(_ATTEMPTS):
            ids, scores = self.search(query_bundle, run.top_k, run.filters)
            nodes = self._context.hydrate(ids, scores)
            if len(nodes) == len(ids):
                break
        return nodes

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class LegRetriever(IdsRetriever):
    """One leg as a LlamaIndex retriever."""

    def __init__(self, context: BuildContext, leg: Leg) -> None:
        super().__init__(context)
        self.name = leg.name
        self.floor: float | None = getattr(leg, "floor", None)
        self._leg = leg

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        return self._leg.search(query, k, filters)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        return self._leg.score(query, ids)
