"""Any LlamaIndex retriever as a leg, and what its nodes are worth: the ids and scores of chunks that the ledger has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragkit.components import Bounded, Hits, Leg, Presents
from ragkit.errors import ComponentError
from ragkit.filters import matcher
from ragkit.query.hydrate import fields
from ragkit.query.run import run_of, with_top_k
from ragkit.query.trace import StageRecorder

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters

    from ragkit.state.reader import Reader


class NamedLeg:
    """Any retriever as a leg called `name`: one that is a leg itself is searched, another is asked for nodes."""

    def __init__(self, retriever: Any, name: str, reader: Reader) -> None:
        self.name = name
        self.floor: float | None = getattr(retriever, "floor", None)
        self.waits: bool = getattr(retriever, "waits", False)
        self._retriever = retriever
        self._reader = reader

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        return self._retriever.present(query, nodes) if isinstance(self._retriever, Presents) else list(nodes)

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        with run_of(query, k, generation=self._reader.generation).stage(self.name) as stage:
            if isinstance(self._retriever, Leg):
                ids, scores = self._retriever.search(query, k, filters)
            else:
                ids, scores = known_hits(self._reader, self._retriever.retrieve(with_top_k(query, k)), filters, stage, k)
            stage.hits(ids[:k], scores[:k])
            return ids[:k], scores[:k]

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        return self._retriever.bounds(query) if isinstance(self._retriever, Bounded) else None

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        if not isinstance(self._retriever, Leg):
            return None
        scores = self._retriever.score(query, ids)
        if scores is not None:
            with run_of(query, max(len(ids), 1)).stage(self.name, entered=len(ids)) as stage:
                stage.scored(ids, scores)
        return scores


def as_leg(retriever: Any, name: str, reader: Reader) -> Leg:
    """Any retriever as a leg called `name`. One that is a leg of that name already stays as it is."""
    if isinstance(retriever, Leg) and retriever.name == name:
        return retriever
    if not hasattr(retriever, "retrieve") and not isinstance(retriever, Leg):
        raise ComponentError(f"the leg {name!r} is no retriever but a {type(retriever).__name__}", component=name)
    return NamedLeg(retriever, name, reader)


def known_hits(
    reader: Reader, nodes: Sequence[NodeWithScore], filters: MetadataFilters | None, stage: StageRecorder, k: int
) -> Hits:
    """The ids and scores of nodes from outside ragkit, as far as the ledger has them and they satisfy `filters`.

    `k` of them were wanted.
    """
    dropped = refused(reader, [item.node.node_id for item in nodes], filters)
    stage.dropped.update(dropped)
    reasons = list(dropped.values())
    if "deleted" in reasons:
        stage.degraded(f"{reasons.count('deleted')} of its hits are unknown or deleted")
    kept = [item for item in nodes if item.node.node_id not in dropped]
    if "filter" in reasons:
        stage.note(f"it does not filter: {reasons.count('filter')} of its {len(nodes)} hits do not satisfy the filter")
        if len(kept) < k:
            stage.degraded("chunks beyond those hits were not looked at")
    return [item.node.node_id for item in kept], scores_or_ranks(kept)


def refused(reader: Reader, ids: Sequence[str], filters: MetadataFilters | None) -> dict[str, str]:
    """Those of `ids` that are no hits, with the reason: `deleted` (or never known), or `filter`."""
    if filters is None:
        if reader.all_alive(ids):
            return {}
        alive = reader.alive(ids)
        return {item: "deleted" for item in ids if item not in alive}
    satisfies = matcher(filters)
    chunks = {chunk.id: chunk for chunk in reader.chunks(ids)}
    unwanted = {item for item, chunk in chunks.items() if not satisfies(fields(chunk))}
    return {item: "filter" if item in chunks else "deleted" for item in ids if item not in chunks or item in unwanted}


def scores_or_ranks(nodes: Sequence[NodeWithScore]) -> list[float]:
    """The nodes' scores, or 1 / rank for all where one has none."""
    scores = [item.score for item in nodes]
    known = [float(score) for score in scores if score is not None and math.isfinite(score)]
    return known if len(known) == len(scores) else [1 / rank for rank in range(1, len(nodes) + 1)]
