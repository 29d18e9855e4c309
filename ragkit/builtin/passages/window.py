"""`sentence_window`: each hit with the chunks around it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ragkit import BuildContext
from ragkit.builtin.passages.base import Around, Passage, PassageRetriever, Satisfies

_MOST_HITS = 1_000


class SentenceWindowRetriever(PassageRetriever):
    """Hands out each hit of `inner` with up to `before` chunks before it and `after` behind it.

    Windows that meet become one passage, with the id and score of the better hit, as long as they have no more than twice as
    many chunks as one window; beyond that they stay two, and one begins where the other ends.
    """

    def __init__(self, context: BuildContext, inner: Any, *, before: int = 1, after: int = 1) -> None:
        super().__init__(context, inner, "sentence_window")
        self._before = before
        self._after = after

    def _amounts(self, k: int) -> Iterable[int]:
        """Three times as many as are wanted, then four times as many as before, twice."""
        most = max(k, _MOST_HITS)
        return sorted({min(3 * k, most), min(12 * k, most), min(48 * k, most)})

    def _passages(self, found: Sequence[Passage], k: int, satisfies: Satisfies) -> tuple[list[Passage], str]:
        """The windows of so few of the best hits as give `k` passages."""
        around = Around(self._context, self._before, self._after, satisfies)
        count = min(k, len(found))
        while True:
            passages = Windows(found[:count], around, self._before, self._after).passages()
            missing = k - len(passages)
            if missing <= 0 or count == len(found):
                break
            count = min(count + missing, len(found))
        return passages, f"{count} hits stand in {len(passages)} passages" if count > len(passages) else ""


class Windows:
    """Passages that grow around what was found until they meet, best first."""

    def __init__(self, found: Sequence[Passage], around: Around, before: int, after: int) -> None:
        self._around = around
        self._limit = 2 * (before + 1 + after)
        self._grown: dict[int, Passage] = {}
        self._owners: dict[str, int] = {}
        for place, item in enumerate(found):
            if item.hit.node.node_id in self._owners:  # a better passage shows it
                continue
            self._grown[place] = item
            for chunk_id in item.ids:
                self._owners.setdefault(chunk_id, place)

    def passages(self) -> list[Passage]:
        """The windows, best first."""
        waiting = deque(sorted(self._grown))
        while waiting:
            place = waiting.popleft()
            if place not in self._grown:
                continue
            for step in (-1, 1):
                joined = self._extended(place, step)
                if joined is not None:  # it has a new end, and grows from there
                    waiting.appendleft(joined)
                    break
        return [self._grown[place] for place in sorted(self._grown)]

    def _extended(self, place: int, step: int) -> int | None:
        """Grow backwards (`step` -1) or forwards (1); the place of what came of it where it met another and joined it."""
        item = self._grown[place]
        for chunk_id in self._around.outward(item.core[0 if step < 0 else -1], step):
            owner = self._owners.get(chunk_id)
            if owner == place:
                continue
            if owner is not None:
                return self._joined(place, owner, step)
            ids = self._grown[place].ids
            self._grown[place] = replace(item, ids=(chunk_id, *ids) if step < 0 else (*ids, chunk_id))
            self._owners[chunk_id] = place
        return None

    def _joined(self, place: int, other: int, step: int) -> int | None:
        """Join a passage and the one next to it, which lies in the direction of `step`, unless they are too long together."""
        better, worse = sorted((place, other))
        first, second = (self._grown[other], self._grown[place]) if step < 0 else (self._grown[place], self._grown[other])
        ids = (*first.ids, *second.ids)
        if len(ids) > self._limit:
            return None
        self._grown[better] = Passage(self._grown[better].hit, (*first.core, *second.core), ids)
        del self._grown[worse]
        self._owners.update(dict.fromkeys(ids, better))
        return better
