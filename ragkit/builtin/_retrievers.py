"""Retrievers over legs. They use the contracts alone: legs, the run of a query, hydration."""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin._fusion import fuse, order
from ragkit.components import Hits, Leg, Run
from ragkit.errors import ComponentError, QueryError

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


@dataclass(frozen=True)
class _Found:
    """What one leg found; `error` is set where it failed."""

    leg: Leg
    weight: float
    scores: dict[str, float]
    ranks: dict[str, int]
    error: Exception | None = None


class HybridRetriever(IdsRetriever):
    """Fuses legs: each finds `depth` candidates, and every candidate gets its true score from every leg.

    The weights are `alpha` for the first leg and 1 - alpha shared by the others. A leg of weight 0 is not asked, so
    `alpha` 1 ranks as the first leg does and `alpha` 0 as the other.
    """

    name = "fused"
    query_settings = frozenset({"alpha"})

    def __init__(self, context: BuildContext, legs: Sequence[Leg], *, alpha: float, depth: int, normaliser: str) -> None:
        super().__init__(context)
        self._legs = tuple(legs)
        self._alpha = alpha
        self._depth = depth
        self._normaliser = normaliser

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k` by fused score. A leg that fails is left out, and the trace says so; QueryErrors are raised."""
        run = self._context.run(query)
        weights = self._weights(run)
        found = [self._ask(leg, weight, query, max(k, self._depth), filters, run) for leg, weight in weights if weight > 0]
        for leg, weight in weights:
            if weight == 0:
                with run.stage(leg.name) as stage:
                    stage.skipped("its weight is 0")
        working = [item for item in found if item.error is None]
        if not working:
            raise _failed(found)
        ids = list(dict.fromkeys(chunk_id for item in working for chunk_id in item.ranks))
        missing = [self._complete(item, query, ids) for item in working]
        with run.stage(self.name, entered=len(ids)) as stage:
            for note in [*map(_shortcoming, found), *missing]:
                if note:
                    stage.degraded(note)
            ranked, scores = self._fuse(working, ids)
            stage.hits(ranked[:k], scores[:k])
        return ranked[:k], scores[:k]

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """None: a fused score depends on the other candidates."""
        return None

    def _weights(self, run: Run) -> list[tuple[Leg, float]]:
        alpha = run.settings.get("alpha", self._alpha)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha <= 1:
            first, *others = (leg.name for leg in self._legs)
            raise QueryError(f"alpha is {alpha!r}; it must be a number from 0 ({', '.join(others)} alone) to 1 ({first} alone)")
        rest = (1 - alpha) / (len(self._legs) - 1)
        return [(leg, float(alpha) if position == 0 else rest) for position, leg in enumerate(self._legs)]

    def _ask(self, leg: Leg, weight: float, query: QueryBundle, k: int, filters: MetadataFilters | None, run: Run) -> _Found:
        try:
            ids, scores = leg.search(query, k, filters)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the other legs can still answer; the trace tells
            with run.stage(leg.name) as stage:
                stage.degraded(_line(error))
            return _Found(leg, weight, {}, {}, error)
        ranks = {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)}
        return _Found(leg, weight, dict(zip(ids, scores, strict=True)), ranks)

    def _complete(self, found: _Found, query: QueryBundle, ids: Sequence[str]) -> str:
        """Score what the other legs found; returns what could not be told."""
        missing = [chunk_id for chunk_id in ids if chunk_id not in found.scores]
        if not missing:
            return ""
        try:
            scores = found.leg.score(query, missing)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `_ask`: a missing score costs quality, not the answer
            return f"{found.leg.name} failed to score {len(missing)} candidates ({_line(error)})"
        if scores is None:
            return f"{found.leg.name} cannot score by id: {len(missing)} candidates count as its lowest"
        found.scores.update(zip(missing, scores, strict=True))
        unknown = sum(math.isnan(score) for score in scores)
        return f"{found.leg.name} does not hold {unknown} candidates: they count as its lowest" if unknown else ""

    def _fuse(self, working: Sequence[_Found], ids: Sequence[str]) -> Hits:
        if not ids:
            return [], []
        rows = [np.array([item.scores.get(chunk_id, math.nan) for chunk_id in ids], dtype=np.float64) for item in working]
        floors = [getattr(item.leg, "floor", None) for item in working]
        fused = fuse(rows, [item.weight for item in working], self._normaliser, floors)
        last = len(ids) + 1
        best = order(fused, [working[0].ranks.get(chunk_id, last) for chunk_id in ids], ids)
        return [ids[index] for index in best], [float(fused[index]) for index in best]


def _shortcoming(found: _Found) -> str:
    if found.error is not None:
        return f"{found.leg.name} failed and is left out"
    return "" if found.ranks else f"{found.leg.name} found nothing"


def _failed(found: Sequence[_Found]) -> Exception:
    """The error for a query that no leg could answer; one leg's own error is raised as it is."""
    errors = [item for item in found if item.error is not None]
    if len(errors) == 1 and errors[0].error is not None:
        return errors[0].error
    told = "; ".join(f"{item.leg.name}: {_line(item.error)}" for item in errors)
    return ComponentError(f"every leg failed: {told}", component="hybrid", cure="run: ragkit status")


def _line(error: BaseException | None) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
