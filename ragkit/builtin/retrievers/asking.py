"""Asking several legs, so that every candidate gets its true score from every leg."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from llama_index.core.schema import QueryBundle
from numpy.typing import NDArray

from ragkit.builtin.retrievers.fusion import fill
from ragkit.components import Leg
from ragkit.errors import QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters


@dataclass(eq=False)
class Asked:
    """A leg that is asked: what it found, and what it says of what the others found. `error` is set where it failed."""

    leg: Leg
    weight: float
    ranks: dict[str, int] = field(default_factory=dict)
    error: Exception | None = None
    _found: dict[str, float] = field(default_factory=dict)
    _completed: dict[str, float] = field(default_factory=dict)
    _silent: bool = False
    _failure: Exception | None = None

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None) -> None:
        """Find the best `k`."""
        try:
            ids, scores = self.leg.search(query, k, filters)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the other legs can still answer; the trace tells
            self.error = error
            return
        self._found = dict(zip(ids, scores, strict=True))
        self.ranks = {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)}

    def complete(self, query: QueryBundle, ids: Sequence[str]) -> None:
        """Score what another leg found. It may still be searching itself: of two scores, that of the search counts."""
        if not ids or self.error is not None:
            return
        try:
            scores = self.leg.score(query, ids)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `search`: a missing score costs quality, not the answer
            self._failure = error
            return
        if scores is None:
            self._silent = True
        else:
            self._completed.update(zip(ids, scores, strict=True))

    def scores(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """The scores of the candidates (n,), the lowest for those that it could not score."""
        known, unknown = self._known, math.nan
        return fill(np.array([known.get(chunk_id, unknown) for chunk_id in ids], dtype=np.float64))

    @cached_property
    def _known(self) -> dict[str, float]:
        """All scores; asked for when every leg is done."""
        return self._completed | self._found

    def problems(self, ids: Sequence[str]) -> list[str]:
        """In sentences, what it did not do for the candidates."""
        if self.error is not None:
            return [f"{self.leg.name} failed and is left out ({one_line(self.error)})"]
        told = [] if self._found else [f"{self.leg.name} found nothing"]
        known, unknown = self._known, math.nan
        missing = sum(math.isnan(known.get(chunk_id, unknown)) for chunk_id in ids)
        if missing and self._failure is not None:
            told.append(f"{self.leg.name} failed to score {missing} candidates ({one_line(self._failure)})")
        elif missing and self._silent:
            told.append(f"{self.leg.name} cannot score by id: {missing} candidates count as its lowest")
        elif missing:
            told.append(f"{self.leg.name} does not hold {missing} candidates: they count as its lowest")
        return told


def ask(asked: Sequence[Asked], query: QueryBundle, k: int, filters: MetadataFilters | None, executor: Executor) -> None:
    """Search every leg for `k`, and have each score what the others found. Raises `QueryError` alone.

    Legs that wait for another machine do so at the same time, in threads: while one embeds the question, the vectors of what
    another found are on their way. What is computed here is done in turn; on one processor threads only get in each other's way.
    """
    distant = [item for item in asked if getattr(item.leg, "waits", False)]
    near = [item for item in asked if item not in distant]
    if not distant or len(asked) == 1:
        for item in asked:
            item.search(query, k, filters)
        _complete(asked, query)
        return
    if not near:
        near.append(distant.pop())

    def work(item: Asked) -> None:
        item.search(query, k, filters)
        for other in asked:
            if other is not item:
                other.complete(query, list(item.ranks))

    waiting = [executor.submit(copy_context().run, work, item) for item in distant]
    results: list[Callable[[], None]] = [*(partial(work, item) for item in near), *(future.result for future in waiting)]
    errors: list[QueryError] = []
    for result in results:  # all of them: nothing goes on behind the query's back
        try:
            result()
        except QueryError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _complete(asked: Sequence[Asked], query: QueryBundle) -> None:
    """Every candidate that a leg did not find itself."""
    candidates = list(dict.fromkeys(chunk_id for item in asked for chunk_id in item.ranks))
    for item in asked:
        item.complete(query, [chunk_id for chunk_id in candidates if chunk_id not in item.ranks])


def one_line(error: Exception) -> str:
    """An error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
