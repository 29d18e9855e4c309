"""`hybrid`: legs fused by their true scores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from llama_index.core.schema import NodeWithScore, QueryBundle
from numpy.typing import NDArray

from ragkit import BuildContext
from ragkit.builtin.retrievers.asking import Asked, ask, one_line
from ragkit.builtin.retrievers.base import IdsRetriever
from ragkit.builtin.retrievers.fusion import combine, distribution, minmax, order, reciprocal_ranks, theoretical, zscore
from ragkit.builtin.retrievers.weighing import ENOUGH, Weight, by_peak, from_question, peak
from ragkit.components import Bounded, Hits, Leg, Presents, Run, Stage
from ragkit.errors import ComponentError, QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters


_AT_ONCE = 32
"""So many legs are asked at the same time at most, by all questions together; a leg that waits its turn is only later."""

Normaliser = Literal["zscore", "minmax", "distribution", "theoretical"]

Among = NDArray[np.bool_]


@dataclass(frozen=True)
class Fusing:
    """How scores become one score: a `method`, and with `convex` how they are made comparable, with `rrf` its constant."""

    method: Literal["convex", "rrf"] = "convex"
    normaliser: Normaliser = "zscore"
    rrf_k: int = 60


class HybridRetriever(IdsRetriever):
    """Fuses legs: each finds `depth` candidates, and every candidate gets its true score from every leg.

    The weights are alpha for the first leg and 1 - alpha shared by the others. A leg of weight 0 is not asked, so
    `alpha` 1 ranks as the first leg does and `alpha` 0 as the other. With `adaptive`, and two legs of which the second is one
    of keywords, the configured alpha is moved for each question (`weighing`); an alpha that the query names is not.
    """

    name = "fused"
    query_settings = frozenset({"alpha"})

    def __init__(
        self,
        context: BuildContext,
        legs: Sequence[Leg],
        *,
        alpha: float | Literal["auto"],
        depth: int,
        fusing: Fusing = Fusing(),
        adaptive: bool = False,
    ) -> None:
        super().__init__(context)
        self._legs = tuple(legs)
        self._alpha = alpha
        self._depth = depth
        self._adaptive = adaptive
        self._fusing = fusing
        self._executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ragkit-legs")

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k` by fused score. A leg that fails is left out, and the trace says so; QueryErrors are raised."""
        run = self._context.run(query)
        weight = self._weight(run, query.query_str)
        asked = [Asked(leg, share) for leg, share in zip(self._legs, self._shares(weight), strict=True)]
        for item in asked:
            with run.stage(item.leg.name) as stage:  # in this order in the trace, whichever is first
                if item.weight == 0:
                    stage.skipped("its weight is 0")
        asked = [item for item in asked if item.weight > 0]
        ask(asked, query, max(k, self._depth), filters, self._executor)
        found = [item for item in asked if item.error is None]
        if not found:
            raise _failed(asked)
        ids = list(dict.fromkeys(chunk_id for item in found for chunk_id in item.ranks))
        with run.stage(self.name, entered=len(ids)) as stage:
            for item in asked:
                for problem in item.problems(ids):
                    stage.degraded(problem)
            among = self._among(found, ids)
            ranked, scores = self._fuse(query, found, ids, among, self._moved(weight, found, ids, among, run, stage), stage)
            stage.hits(ranked[:k], scores[:k])
        return ranked[:k], scores[:k]

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """As the legs present them, one after the other."""
        for leg in self._legs:
            nodes = leg.present(query, nodes) if isinstance(leg, Presents) else nodes
        return list(nodes)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """None: a fused score depends on the other candidates."""
        return None

    def _weight(self, run: Run, question: str) -> Weight:
        """The weight of the first leg as the query or the configuration has it."""
        alpha = run.settings.get("alpha", self._alpha)
        if alpha == "auto":
            return from_question(question)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 1:
            first, *rest = (leg.name for leg in self._legs)
            raise QueryError(
                f"alpha is {alpha!r}; it must be a number from 0 ({', '.join(rest)} alone) to 1 ({first} alone), or auto"
            )
        return Weight(float(alpha))

    def _shares(self, weight: Weight) -> list[float]:
        """The weight of each leg."""
        others = len(self._legs) - 1
        return [weight.alpha, *[(1 - weight.alpha) / others] * others]

    def _among(self, found: Sequence[Asked], ids: Sequence[str]) -> Among:
        """Which of the candidates some leg has within `depth`."""
        if all(len(item.ranks) <= self._depth for item in found):
            return np.ones(len(ids), dtype=bool)
        near = {chunk_id for item in found for chunk_id, rank in item.ranks.items() if rank <= self._depth}
        return np.array([chunk_id in near for chunk_id in ids], dtype=bool)

    def _moved(
        self, weight: Weight, found: Sequence[Asked], ids: Sequence[str], among: Among, run: Run, stage: Stage
    ) -> list[float]:
        """The weights of the legs that answered, moved by what they found within `depth`."""
        named = run.settings.get("alpha") not in (None, "auto")
        words = found[-1].leg
        two = len(found) == len(self._legs) == 2 and getattr(words, "floor", None) == 0
        if self._adaptive and not named and two and among.sum() >= ENOUGH:
            weight = by_peak(weight, peak(found[-1].scores(ids)[among]), words.name)
        if weight.reasons:
            stage.note(f"alpha {weight.alpha:.2f}: {', '.join(weight.reasons)}")
        shares = dict(zip((leg.name for leg in self._legs), self._shares(weight), strict=True))
        return [shares[item.leg.name] for item in found]

    def _fuse(
        self, query: QueryBundle, found: Sequence[Asked], ids: Sequence[str], among: Among, weights: Sequence[float], stage: Stage
    ) -> Hits:
        if not ids:
            return [], []
        fused = combine([self._normalised(query, item, ids, among, stage) for item in found], weights)
        best = order(fused, [found[0].ranks.get(chunk_id, len(ids) + 1) for chunk_id in ids], ids)
        return [ids[index] for index in best], [float(fused[index]) for index in best]

    def _normalised(self, query: QueryBundle, item: Asked, ids: Sequence[str], among: Among, stage: Stage) -> NDArray[np.float64]:
        """A leg's scores of the candidates (n,) such that those of different legs can be added.

        The scale is that of the candidates `among` them which some leg has within `depth`: who asks for more hits, and so
        for more candidates, gets more of the same.
        """
        scores, floor = item.scores(ids), getattr(item.leg, "floor", None)
        if self._fusing.method == "rrf":
            return reciprocal_ranks(scores, self._fusing.rrf_k, floor)
        if self._fusing.normaliser == "theoretical":
            bounds = item.leg.bounds(query) if isinstance(item.leg, Bounded) else None
            if bounds is not None:
                return theoretical(scores, bounds)
            stage.degraded(f"{item.leg.name} does not know its bounds: its scores are mapped by the best and the worst found")
        elif self._fusing.normaliser == "distribution":
            return distribution(scores, scores[among])
        elif self._fusing.normaliser == "zscore":
            return zscore(scores, scores[among])
        return minmax(scores, floor, scores[among])


def _failed(asked: Sequence[Asked]) -> Exception:
    """The error for a query that no leg could answer; one leg's own error is raised as it is."""
    errors = [(item.leg.name, item.error) for item in asked if item.error is not None]
    if len(errors) == 1:
        return errors[0][1]
    told = "; ".join(f"{name}: {one_line(error)}" for name, error in errors)
    return ComponentError(f"every leg failed: {told}", component="hybrid", cure="run: ragkit status")
