"""What the rerankers share: reading scores, handing nodes on, and telling the trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext


class Reranker(BaseNodePostprocessor):
    """Hands on new `NodeWithScore`s and leaves those that it was given as they are. `use` is its name in the YAML."""

    use: ClassVar[str]

    _context: Any = PrivateAttr()

    def __init__(self, context: BuildContext) -> None:
        super().__init__()
        self._context = context

    @classmethod
    def class_name(cls) -> str:
        return f"ragkit.{cls.__name__}"

    def _note(self, query: QueryBundle | None, detail: str) -> None:
        if query is not None:  # a call without a question has no trace
            self._context.run(query).here.note(detail)

    def _degraded(self, query: QueryBundle | None, detail: str) -> None:
        if query is not None:
            self._context.run(query).here.degraded(detail)


def known_score(item: NodeWithScore) -> float | None:
    """The node's score, or None where it has none that is a finite number."""
    return float(item.score) if item.score is not None and math.isfinite(item.score) else None


def scores_of(nodes: Sequence[NodeWithScore]) -> list[float]:
    """The nodes' scores, or 1 / rank for all where one has none."""
    known = [score for item in nodes if (score := known_score(item)) is not None]
    return known if len(known) == len(nodes) else [1 / rank for rank in range(1, len(nodes) + 1)]


def shares(scores: Sequence[float]) -> list[float]:
    """The scores mapped so that the best is 1 and the worst 0; 1 for all where they are equal."""
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def handed_on(nodes: Sequence[NodeWithScore], places: Sequence[int], scores: Sequence[float | None]) -> list[NodeWithScore]:
    """The nodes at `places` in that order, with their new `scores`."""
    return [NodeWithScore(node=nodes[place].node, score=score) for place, score in zip(places, scores, strict=True)]


def as_they_are(nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The nodes in the same order with the same scores."""
    return [NodeWithScore(node=item.node, score=item.score) for item in nodes]
