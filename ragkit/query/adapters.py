"""Any retriever as a leg."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragkit.components import Hits, Leg
from ragkit.errors import ComponentError
from ragkit.query.legs import Keep
from ragkit.query.reader import Reader
from ragkit.query.run import run_of, with_top_k

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


class RetrieverLeg:
    """Any LlamaIndex retriever as a leg: asked for nodes, of which ids and scores are kept."""

    floor: float | None = None

    def __init__(self, retriever: BaseRetriever, name: str, reader: Reader) -> None:
        self.name = name
        self._retriever = retriever
        self._reader = reader

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """At most `k` of what the retriever gives, as far as the ledger has it; scores without a value become 1 / rank."""
        run = run_of(query, k, generation=self._reader.generation)
        with run.stage(self.name) as stage:
            nodes = self._retriever.retrieve(with_top_k(query, k))
            kept = Keep(self._reader, filters)
            wanted = kept([item.node.node_id for item in nodes])
            alive = [item for item in nodes if item.node.node_id in wanted][:k]
            if kept.dead:
                stage.degraded(f"{len(kept.dead)} of its hits are unknown or deleted")
            if kept.refused:
                stage.note(f"{len(kept.refused)} of its hits do not satisfy the filter")
            ids, scores = [item.node.node_id for item in alive], scores_or_ranks(alive)
            stage.hits(ids, scores)
            return ids, scores

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """None: a retriever gives scores only to what it finds."""
        return None


def as_leg(retriever: Any, name: str, reader: Reader) -> Leg:
    """Any retriever as a leg called `name`. One that is a leg of that name already stays as it is."""
    if isinstance(retriever, Leg):
        return retriever if retriever.name == name else _Renamed(retriever, name)
    if not hasattr(retriever, "retrieve"):
        raise ComponentError(f"the leg {name!r} is no retriever but a {type(retriever).__name__}", component=name)
    return RetrieverLeg(retriever, name, reader)


class _Renamed:
    """A leg under another name, under which it stands in the trace once more."""

    def __init__(self, leg: Leg, name: str) -> None:
        self.name = name
        self.floor: float | None = getattr(leg, "floor", None)
        self._leg = leg

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        with run_of(query, k).stage(self.name) as stage:
            ids, scores = self._leg.search(query, k, filters)
            stage.hits(ids, scores)
            return ids, scores

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        with run_of(query, max(len(ids), 1)).stage(self.name, entered=len(ids)) as stage:
            scores = self._leg.score(query, ids)
            if scores is not None:
                stage.scored(ids, scores)
            return scores


def scores_or_ranks(nodes: Sequence[NodeWithScore]) -> list[float]:
    """The nodes' scores, or 1 / rank for all where one has none."""
    scores = [item.score for item in nodes]
    known = [float(score) for score in scores if score is not None and math.isfinite(score)]
    return known if len(known) == len(scores) else [1 / rank for rank in range(1, len(nodes) + 1)]
