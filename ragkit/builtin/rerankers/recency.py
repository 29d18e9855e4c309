"""Newer hits first, as far as relevance lets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin.rerankers.base import Reranker, as_they_are, handed_on, scores_of, shares
from ragkit.filters import instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR = re.compile(r"[1-9][0-9]{3}")


def _clock() -> datetime:
    return datetime.now(UTC)


class RecencyReranker(Reranker):
    """Scores each hit (1 - weight)·relevance + weight·2^(-age / half_life_days), from 0 to 1, and orders by that.

    Relevance is the score of the stage before, mapped so that the best hit has 1 and the worst 0 (by rank where a hit has
    none); the age is in days, at least 0, from what the metadata has under `key`; see `moment`. A hit without a date that can
    be read gets the median of the other hits' decays; where there is no date at all, hits and scores stay as they are. Equal
    scores keep their order. `now` gives the present as a `datetime` with a time zone.
    """

    use = "recency"

    _key: str = PrivateAttr()
    _half_life_days: float = PrivateAttr()
    _weight: float = PrivateAttr()
    _now: Callable[[], datetime] = PrivateAttr()

    def __init__(
        self,
        context: BuildContext,
        *,
        key: str = "date",
        half_life_days: float = 180,
        weight: float = 0.3,
        now: Callable[[], datetime] = _clock,
    ) -> None:
        super().__init__(context)
        self._key = key
        self._half_life_days = half_life_days
        self._weight = weight
        self._now = now

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        present = self._now() - _EPOCH
        decays = [self._decay(item.node.metadata.get(self._key), present) for item in nodes]
        dated = [decay for decay in decays if decay is not None]
        if not dated:
            self._degraded(query_bundle, f"no hit has a date under {self._key!r} that can be read; the order stays")
            return as_they_are(nodes)
        if len(dated) < len(nodes):
            without = f"{len(nodes) - len(dated)} of {len(nodes)} hits have no date under {self._key!r} that can be read"
            self._note(query_bundle, f"{without}; they count as of middle age")
        middle = median(dated)
        scores = [
            (1 - self._weight) * relevance + self._weight * (middle if decay is None else decay)
            for relevance, decay in zip(shares(scores_of(nodes)), decays, strict=True)
        ]
        places = sorted(range(len(nodes)), key=lambda place: -scores[place])
        return handed_on(nodes, places, [scores[place] for place in places])

    def _decay(self, value: Any, present: timedelta) -> float | None:
        """From 1 for what is new towards 0; None for a value that is no date."""
        when = moment(value)
        if when is None:
            return None
        age_days = max((present - when) / timedelta(days=1), 0.0)
        return float(2.0 ** (-age_days / self._half_life_days))


def moment(value: Any) -> timedelta | None:
    """The time since 1970 in UTC that a date of the metadata names; None for what is no date.

    A date is read as filters read it: an ISO 8601 text, a date without a time being its midnight, and a time without an
    offset in UTC. A year alone, 1000 to 9999 as a number or a text, is the middle of it, its 1 July. A date in the future is
    read like any other.
    """
    if isinstance(value, date):
        value = value.isoformat()
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value).strip()
    if _YEAR.fullmatch(text):
        return datetime(int(text), 7, 1, tzinfo=UTC) - _EPOCH
    return instant(text) if isinstance(value, str) else None
