"""Hits that score high enough."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin.rerankers.base import Reranker, as_they_are, known_score
from ragkit.errors import ComponentError


class ThresholdReranker(Reranker):
    """Drops hits that score below `min_score`, or below the share `relative` of the best; order and scores stay.

    The score is that of the stage before, or of the one called `stage`. A hit without one is kept, and the trace says so. The
    best is the highest of these scores. Where it is 0 or more, a hit needs `relative` times as much. Where it is negative,
    as are distances and logits, a hit may be 1 / `relative` times as far below 0: with -2 and 0.5, down to -4. So the best hit
    always stays where only `relative` is set, and 1 leaves only its equals.
    """

    use = "threshold"

    _min_score: float | None = PrivateAttr()
    _relative: float | None = PrivateAttr()
    _stage: str | None = PrivateAttr()

    def __init__(
        self, context: BuildContext, *, min_score: float | None = None, relative: float | None = None, stage: str | None = None
    ) -> None:
        super().__init__(context)
        self._min_score = min_score
        self._relative = relative
        self._stage = stage

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        scores = self._scores(nodes, query_bundle)
        known = [score for score in scores if score is not None]
        self._tell_unknown(query_bundle, len(known), len(scores))
        if not known:
            return as_they_are(nodes)
        lowest = self._lowest(max(known))
        if max(known) < lowest:
            self._note(query_bundle, f"the best score is {max(known):.4g}, below {lowest:.4g}")
        kept = [item for item, score in zip(nodes, scores, strict=True) if score is None or score >= lowest]
        return as_they_are(kept)

    def _lowest(self, best: float) -> float:
        """The lowest score that stays."""
        bounds = [-math.inf if self._min_score is None else self._min_score]
        if self._relative is not None and best >= 0:
            bounds.append(best * self._relative)
        elif self._relative:
            bounds.append(best / self._relative)
        return max(bounds)

    def _scores(self, nodes: Sequence[NodeWithScore], query: QueryBundle | None) -> list[float | None]:
        if self._stage is None:
            return [known_score(item) for item in nodes]
        if query is None:
            raise ComponentError(
                f"`threshold` reads the scores of the stage {self._stage!r} from the question's trace, and got no question",
                component=self.use,
                cure="pass query_bundle=… or query_str=…, or set no `stage`",
            )
        run = self._context.run(query)
        found = [run.score_of(self._stage, item.node.node_id) for item in nodes]
        return [score if score is not None and math.isfinite(score) else None for score in found]

    def _tell_unknown(self, query: QueryBundle | None, known: int, hits: int) -> None:
        where = f" at the stage {self._stage!r}" if self._stage else ""
        if not known:
            self._degraded(query, f"no hit has a score{where}, so none is dropped")
        elif known < hits:
            self._note(query, f"{hits - known} of {hits} hits have no score{where} and are kept")
