"""The chunker `semantic`: cut where the meaning turns.

After Kamradt, "5 Levels of Text Splitting" (2023): the distance between the embeddings of neighbouring sentences, each with
the `around` sentences on either side of it; a cut where the distance is above a percentile of those of the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from pydantic import PrivateAttr

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.spans import Span, fit

_BATCH = 256
"""Sentences that are embedded at a time, so that a long document takes no more memory than a short one."""

Embed = Callable[[list[str]], Sequence[Sequence[float]]]


class SemanticChunker(SentenceChunker):
    """Sentences up to where the text turns to something else; what is too long is cut as `sentence` cuts it.

    Chunks of less than `least` are joined with what follows them, where that fits.
    """

    percentile: float = 80.0
    around: int = 1

    _embed: Embed = PrivateAttr()

    def __init__(self, *, embed: Embed, **fields: Any) -> None:
        super().__init__(**fields)
        self._embed = embed

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitSemanticChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order."""
        places = self.places(text, markdown=markdown)
        if not places:
            return []
        units = self._units(text, [place for place in places if place[1] is not Break.BOUND or place == places[0]])
        starts, ends = list(units.places), [*units.places[1:], len(text)]
        groups = self._groups(starts, self._turns(text, starts, ends), units.tokens)
        found: list[Span] = []
        bounds = [*(starts[first] for first in groups), len(text)]
        for start, end in pairwise(bounds):
            if self._measure.count([text[start:end]])[0] <= self.size:
                found.append((start, end))
                continue
            inside = [(place - start, kind) for place, kind in places if start < place < end]
            found += [(start + a, start + b) for a, b in self.between(text[start:end], [(0, Break.SENTENCE), *inside])]
        return fit(text, found, self.size, self._measure)

    def _groups(self, starts: Sequence[int], turns: Sequence[float], tokens: Sequence[int]) -> list[int]:
        """The sentences that begin a chunk: those behind the greatest turns, and behind enough of them."""
        threshold = _percentile(turns, self.percentile)
        groups, size = [0], tokens[0]
        for index in range(1, len(starts)):
            if turns[index - 1] > threshold and size >= self.least:
                groups.append(index)
                size = 0
            size += tokens[index]
        if len(groups) > 1 and size < self.least:
            groups.pop()
        return groups

    def _turns(self, text: str, starts: Sequence[int], ends: Sequence[int]) -> list[float]:
        """How far the meaning moves from each sentence to the next: 1 − the cosine."""
        count, near = len(starts), self.around
        windows = [text[starts[max(0, at - near)] : ends[min(count - 1, at + near)]].strip() for at in range(count)]
        turns: list[float] = []
        last: Sequence[float] | None = None
        for vector in self._vectors(windows) if count > 1 else ():
            if last is not None:
                turns.append(_distance(last, vector))
            last = vector
        return turns

    def _vectors(self, texts: Sequence[str]) -> Iterator[Sequence[float]]:
        for start in range(0, len(texts), _BATCH):
            yield from self._embed(list(texts[start : start + _BATCH]))


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    """1 − the cosine, rounded so that what differs by the order of additions alone is equal."""
    import numpy as np

    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return round(1.0 - float(a @ b) / lengths, 6) if lengths else 1.0


def _percentile(values: Sequence[float], percentile: float) -> float:
    """The value that `percentile` percent of `values` do not exceed."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percentile / 100))]
