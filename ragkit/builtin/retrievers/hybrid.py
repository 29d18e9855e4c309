"""`hybrid`: legs fused by their true scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from llama_index.core.schema import NodeWithScore, QueryBundle
from numpy.typing import NDArray

from ragkit import BuildContext
from ragkit.builtin.retrievers.base import IdsRetriever
from ragkit.builtin.retrievers.fusion import fill, fuse, order
from ragkit.builtin.retrievers.weighing import ENOUGH, Weight, by_peak, from_question, peak
from ragkit.components import Hits, Leg, Presents, Run, Stage
from ragkit.errors import ComponentError, QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters


@dataclass
class _Asked:
    """A leg that was asked: what it found, and in words what it could not tell. `error` is set where it failed."""

    leg: Leg
    weight: float
    scores: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    error: Exception | None = None

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None) -> None:
        try:
            ids, scores = self.leg.search(query, k, filters)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the other legs can still answer; the trace tells
            self.error = error
            self.problems.append(f"{self.leg.name} failed and is left out ({_line(error)})")
            return
        self.scores = dict(zip(ids, scores, strict=True))
        self.ranks = {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)}
        if not ids:
            self.problems.append(f"{self.leg.name} found nothing")

    def complete(self, query: QueryBundle, ids: Sequence[str]) -> None:
        """Score what the other legs found."""
        missing = [chunk_id for chunk_id in ids if chunk_id not in self.scores]
        if not missing:
            return
        try:
            scores = self.leg.score(query, missing)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `search`: a missing score costs quality, not the answer
            self.problems.append(f"{self.leg.name} failed to score {len(missing)} candidates ({_line(error)})")
            return
        if scores is None:
            self.problems.append(f"{self.leg.name} cannot score by id: {len(missing)} candidates count as its lowest")
            return
        self.scores.update(zip(missing, scores, strict=True))
        unknown = sum(map(math.isnan, scores))
        if unknown:
            self.problems.append(f"{self.leg.name} does not hold {unknown} candidates: they count as its lowest")


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
        normaliser: str,
        adaptive: bool = False,
    ) -> None:
        super().__init__(context)
        self._legs = tuple(legs)
        self._alpha = alpha
        self._depth = depth
        self._adaptive = adaptive
        self._normaliser = normaliser

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k` by fused score. A leg that fails is left out, and the trace says so; QueryErrors are raised."""
        run = self._context.run(query)
        weight = self._weight(run, query.query_str)
        asked = [_Asked(leg, share) for leg, share in zip(self._legs, self._shares(weight), strict=True)]
        for item in asked:
            if item.weight > 0:
                item.search(query, max(k, self._depth), filters)
            else:
                with run.stage(item.leg.name) as stage:
                    stage.skipped("its weight is 0")
        asked = [item for item in asked if item.weight > 0]
        found = [item for item in asked if item.error is None]
        if not found:
            raise _failed(asked)
        ids = list(dict.fromkeys(chunk_id for item in found for chunk_id in item.ranks))
        for item in found:
            item.complete(query, ids)
        with run.stage(self.name, entered=len(ids)) as stage:
            for item in asked:
                for problem in item.problems:
                    stage.degraded(problem)
            ranked, scores = self._fuse(found, ids, self._moved(weight, found, ids, run, stage))
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

    def _moved(self, weight: Weight, found: Sequence[_Asked], ids: Sequence[str], run: Run, stage: Stage) -> list[float]:
        """The weights of the legs that answered, moved by what they found."""
        named = run.settings.get("alpha") not in (None, "auto")
        words = found[-1].leg
        two = len(found) == len(self._legs) == 2 and getattr(words, "floor", None) == 0
        if self._adaptive and not named and two and len(ids) >= ENOUGH:
            weight = by_peak(weight, peak(_row(found[-1], ids)), words.name)
        if weight.reasons:
            stage.note(f"alpha {weight.alpha:.2f}: {', '.join(weight.reasons)}")
        shares = dict(zip((leg.name for leg in self._legs), self._shares(weight), strict=True))
        return [shares[item.leg.name] for item in found]

    def _fuse(self, found: Sequence[_Asked], ids: Sequence[str], weights: Sequence[float]) -> Hits:
        if not ids:
            return [], []
        floors = [getattr(item.leg, "floor", None) for item in found]
        fused = fuse([_row(item, ids) for item in found], weights, self._normaliser, floors)
        best = order(fused, [found[0].ranks.get(chunk_id, len(ids) + 1) for chunk_id in ids], ids)
        return [ids[index] for index in best], [float(fused[index]) for index in best]


def _row(item: _Asked, ids: Sequence[str]) -> NDArray[np.float64]:
    """A leg's scores of the candidates (n,), its lowest for those that it could not score."""
    return fill(np.array([item.scores.get(chunk_id, math.nan) for chunk_id in ids], dtype=np.float64))


def _failed(asked: Sequence[_Asked]) -> Exception:
    """The error for a query that no leg could answer; one leg's own error is raised as it is."""
    errors = [(item.leg.name, item.error) for item in asked if item.error is not None]
    if len(errors) == 1:
        return errors[0][1]
    told = "; ".join(f"{name}: {_line(error)}" for name, error in errors)
    return ComponentError(f"every leg failed: {told}", component="hybrid", cure="run: ragkit status")


def _line(error: Exception) -> str:
    """An error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
