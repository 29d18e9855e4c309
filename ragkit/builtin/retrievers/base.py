"""Retrievers that are legs: they find ids, and hydrate only what they hand out. They use the contracts alone."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.components import Bounded, Hits, Leg, Presents

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

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """What is handed out for the found chunks: themselves."""
        return list(nodes)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        run = self._context.run(query_bundle)
        nodes: list[NodeWithScore] = []
        for _ in range(_ATTEMPTS):
            ids, scores = self.search(query_bundle, run.top_k, run.filters)
            with run.stage(self.name):  # handing out what was found is a part of finding it
                nodes = self._context.hydrate(ids, scores)
            if len(nodes) == len(ids):
                break
        return self.present(query_bundle, nodes)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


class LegRetriever(IdsRetriever):
    """One leg as a LlamaIndex retriever."""

    def __init__(self, context: BuildContext, leg: Leg) -> None:
        super().__init__(context)
        self.name = leg.name
        self.floor: float | None = getattr(leg, "floor", None)
        self.waits: bool = getattr(leg, "waits", False)
        self._leg = leg

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        return self._leg.search(query, k, filters)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        return self._leg.score(query, ids)

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        """Those of the leg, where it knows them."""
        return self._leg.bounds(query) if isinstance(self._leg, Bounded) else None


class OverRetriever(IdsRetriever):
    """A retriever over one other, `inner`, whose hits it chooses from, widens, or finds by asking in other words.

    What the inner one lets a query override can be overridden here, and what it presents is presented.
    """

    def __init__(self, context: BuildContext, inner: Any, name: str) -> None:
        super().__init__(context)
        self.name = name
        self._inner = inner if isinstance(inner, Leg) else context.leg(inner, f"{name}.inner")
        self.query_settings = frozenset(getattr(inner, "query_settings", ()))

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        return self._inner.present(query, nodes) if isinstance(self._inner, Presents) else list(nodes)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """None: what this retriever thinks of a chunk depends on the others that it found."""
        return None
