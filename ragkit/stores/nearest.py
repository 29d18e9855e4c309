"""Searching so that the answer is stable and full: equal hits in the order of their ids, filters that no index knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

CANDIDATES = 10_000
"""How many of the nearest are looked at, at most, for a filter that the store cannot evaluate itself."""
_TIES = 1_000
"""So many hits beyond those wanted are fetched for the sake of a stable order among equal ones."""


@dataclass(frozen=True)
class Candidates:
    """What a store found: ids, similarities and, where they were asked for, rows with what else it keeps. Of equal length."""

    ids: Sequence[str]
    scores: Sequence[float]
    rows: Sequence[Any] = ()

    def best(self, k: int, passing: Sequence[int] | None = None) -> Candidates:
        """The first `k`, of those at the positions `passing`."""
        chosen = range(len(self.ids))[:k] if passing is None else passing[:k]
        rows = [self.rows[i] for i in chosen] if self.rows else ()
        return Candidates([self.ids[i] for i in chosen], [self.scores[i] for i in chosen], rows)

    def ordered(self) -> Candidates:
        """By descending score, equal ones in the order of their ids."""
        return self.best(len(self.ids), sorted(range(len(self.ids)), key=lambda i: (-self.scores[i], self.ids[i])))


def nearest(
    ask: Callable[[int], Candidates], k: int, passes: Callable[[Any], bool] | None = None, *, most: int = CANDIDATES
) -> Candidates:
    """The best `k` of what `ask(n)`, which fetches the n nearest, gives; of those, the ones whose row `passes`.

    More and more are fetched until `k` pass, until no hit equal to the last one can have been cut off, or until the store
    has no more. Engines leave to chance which of equal hits they return, so all of these are fetched. With `passes`, no more
    than `most` are looked at (but at least 4·k): fewer than `k` may come back although more would pass.
    """
    if k <= 0:
        return Candidates([], [])
    asked = k + 1 if passes is None else 4 * k
    most = max(most, 4 * k)
    while True:
        found = ask(asked).ordered()
        passing = [i for i in range(len(found.ids)) if passes is None or passes(found.rows[i])]
        full = len(passing) >= k
        settled = full and (found.scores[passing[k - 1]] > found.scores[-1] or asked > _TIES + 4 * k)
        if len(found.ids) < asked or settled or (passes is not None and not full and asked >= most):
            return found.best(k, passing)
        asked = 4 * asked if full or passes is None else min(4 * asked, most)


def batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Consecutive parts of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
