"""The chunker `sentence`: the cheapest way to cut a text, so that an edit moves only the cuts around it.

Packing sentences until a chunk is full has every cut depend on all the text before it: one sentence more at the top of a
page moves every cut down to its end, and every chunk is embedded anew. Here each place where a text may be cut has a
price of its own, made of what begins there and a hash of it, and a dynamic programme over the places finds the cuts
whose prices, with a charge for chunks that are not full, sum to the least (as Knuth and Plass break paragraphs into
lines, 1981). It runs from the end of the text to its beginning, so where the best chunk that starts at a place ends
depends on what follows alone; and two ways through the same text soon meet at a good place, and from there on are one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ragkit.builtin.chunkers.breaks import Break, find_breaks, jitter
from ragkit.builtin.chunkers.spans import Span, SpanChunker, fit, in_order
from ragkit.components import Tokenizer

_PRICE = {
    Break.SECTION: 0.0,
    Break.HEADING: 0.05,
    Break.PARAGRAPH: 0.15,
    Break.SENTENCE: 0.3,
    Break.BLOCK: 0.3,
    Break.LINE: 0.45,
    Break.WORD: 0.8,
    Break.BOUND: 0.8,
    Break.INSIDE: 1.2,
}
_JITTER = 0.15
_CROSSING = {Break.SECTION: 0.4, Break.HEADING: 0.2}
_TOO_SMALL = 10.0
"""More than any cuts cost that avoid it."""
_LONG_SHARE = 2
"""Characters per token of size from which a sentence or a block of code may be cut between its lines."""
_OVERLAP_SHARE = 4
"""What repeats less than this part of the overlap asked for is left out."""
_MAX_UNITS = 64
"""Units per full chunk, on the average of a document, beyond which neighbours are merged: bounds time."""


@dataclass(frozen=True)
class _Units:
    """The pieces between two neighbouring places, with what each place is and how many tokens each piece has."""

    places: Sequence[int]
    kinds: Sequence[Break]
    tokens: Sequence[int]
    exact: bool = True
    """Whether every piece fits into a chunk for certain."""


class SentenceChunker(SpanChunker):
    """Whole sentences, cut at headings and paragraphs where that leaves chunks reasonably full.

    Up to `overlap` tokens of whole sentences before a cut are repeated behind it, unless a heading begins there. Chunks of
    less than `least` are made where nothing else is possible.
    """

    language: str = "en"
    least: int = 0

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitSentenceChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order; neighbours may overlap."""
        return self.between(text, self.places(text, markdown=markdown))

    def places(self, text: str, *, markdown: bool) -> list[tuple[int, Break]]:
        """Where `text` may be cut."""
        long = self.size if self.unit == "characters" else _LONG_SHARE * self.size
        return find_breaks(text, self.language, markdown=markdown, long=long)

    def between(self, text: str, places: list[tuple[int, Break]]) -> list[Span]:
        """Where the chunks of `text` lie if it may be cut at `places`, which are in order, the first where the text begins."""
        if not places:
            return []
        units = self._units(text, places)
        overlaps = _overlaps(units, self.overlap, self.size)
        cuts = _cheapest(text, units, [tokens for _, tokens in overlaps], self.size, self.least)
        ends = [*units.places, len(text)]
        spans = [(units.places[overlaps[start][0]], ends[end]) for start, end in pairwise(cuts)]
        return in_order(self._fit(text, units, spans))

    def _units(self, text: str, places: list[tuple[int, Break]]) -> _Units:
        """Count the pieces, cut those that are too long, and merge where there are very many small ones."""
        starts = [place for place, _ in places]
        tokens = self._measure.count([text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)])
        kinds = [kind for _, kind in places]
        if max(tokens) > self.size:
            starts, kinds, tokens = self._refine(text, starts, kinds, tokens)
        exact = max(tokens) <= self.size
        tokens = [min(count, self.size) for count in tokens]
        if len(starts) * self.size > _MAX_UNITS * max(sum(tokens), self.size):
            starts, kinds, tokens = _merge(text, starts, kinds, tokens, self.size)
        return _Units(starts, kinds, tokens, exact)

    def _refine(
        self, text: str, starts: list[int], kinds: list[Break], tokens: list[int]
    ) -> tuple[list[int], list[Break], list[int]]:
        """Cut the pieces that are longer than a chunk at words, and words that are longer at tokens."""
        refined: list[tuple[int, Break, int]] = []
        ends = [*starts[1:], len(text)]
        for start, end, kind, count in zip(starts, ends, kinds, tokens, strict=True):
            if count <= self.size:
                refined.append((start, kind, count))
                continue
            inner = [(start, kind), *_inner_places(text, start, end, self._measure, max(1, self.size // 8))]
            stops = [*(place for place, _ in inner[1:]), end]
            counts = self._measure.count([text[a:b] for (a, _), b in zip(inner, stops, strict=True)])
            refined += [(place, what, n) for (place, what), n in zip(inner, counts, strict=True)]
        places, whats, sizes = zip(*refined, strict=True)
        return list(places), list(whats), list(sizes)

    def _fit(self, text: str, units: _Units, spans: list[Span]) -> list[Span]:
        """Count whole chunks where the sum of their pieces does not prove that they fit: a seam without a space."""
        if not self._splits_at_space or not units.exact:
            return fit(text, spans, self.size, self._measure)
        seams = [place for place in units.places if place and text[place - 1] not in " \t\n"]
        proven = [bisect_right(seams, start) == bisect_left(seams, end) for start, end in spans]
        return fit(text, spans, self.size, self._measure, proven)


def _inner_places(text: str, start: int, end: int, tokenizer: Tokenizer, step: int) -> list[tuple[int, Break]]:
    """Places inside a piece, about every `step` tokens at the beginning of a word, at twice that in the middle of one."""
    places: list[tuple[int, Break]] = []
    count, last = 0, start
    for token_start, _ in tokenizer.offsets(text[start:end]):
        place = start + token_start
        if place > last and count >= step:
            word = text[place - 1].isspace()
            if word or count >= 2 * step:
                places.append((place, Break.WORD if word else Break.INSIDE))
                count, last = 0, place
        count += 1
    return places


def _merge(
    text: str, starts: list[int], kinds: list[Break], tokens: list[int], size: int
) -> tuple[list[int], list[Break], list[int]]:
    """Join neighbours at places chosen by their hash until there are few enough, none above a quarter of `size`."""
    wanted = _MAX_UNITS * max(sum(tokens), size) / size
    share = 1.0
    while share * len(starts) > wanted:
        share /= 2  # powers of two, so that a small edit seldom changes which places stay
    merged: list[tuple[int, Break, int]] = []
    for place, kind, count in zip(starts, kinds, tokens, strict=True):
        if not merged or kind <= Break.HEADING or merged[-1][2] + count > size // 4 or jitter(text, place) < share:
            merged.append((place, kind, count))
        else:
            merged[-1] = (merged[-1][0], merged[-1][1], merged[-1][2] + count)
    places, whats, counts = zip(*merged, strict=True)
    return list(places), list(whats), list(counts)


def _overlaps(units: _Units, overlap: int, size: int) -> list[tuple[int, int]]:
    """For each unit, were it the first of a chunk: from which unit on the text before is repeated, and its tokens."""
    found: list[tuple[int, int]] = []
    for index, kind in enumerate(units.kinds):
        first, tokens = index, 0
        room = min(overlap, size - units.tokens[index])
        if kind > Break.HEADING:
            while first > 0 and tokens + units.tokens[first - 1] <= room and units.kinds[first - 1] > Break.HEADING:
                first -= 1
                tokens += units.tokens[first]
        # a closing tag or a lone bracket is no context
        found.append((first, tokens) if tokens * _OVERLAP_SHARE >= overlap else (index, 0))
    return found


def _cheapest(text: str, units: _Units, overlaps: Sequence[int], size: int, least: int = 0) -> list[int]:
    """The indices of the units that begin a chunk, and the number of units, for the lowest sum of prices."""
    n = len(units.places)
    total = [0, *accumulate(units.tokens)]
    price = [_PRICE[kind] + _JITTER * jitter(text, place) for kind, place in zip(units.kinds, units.places, strict=True)]
    crossed = list(accumulate((_CROSSING.get(kind, 0.0) for kind in units.kinds), initial=0.0))
    shortfall = [(1 - tokens / size) ** 2 + _TOO_SMALL * (tokens < least) for tokens in range(size + 1)]
    best = [0.0] * (n + 1)
    after = [n] * (n + 1)
    price.append(0.0)
    for first in range(n - 1, -1, -1):
        before = total[first] - overlaps[first]
        headings_before = crossed[first + 1]
        lowest, chosen = float("inf"), first + 1
        for end in range(first + 1, n + 1):
            tokens = total[end] - before
            if tokens > size:
                break
            cost = best[end] + price[end] + shortfall[tokens] + crossed[end] - headings_before
            if cost < lowest:
                lowest, chosen = cost, end
        best[first], after[first] = lowest, chosen
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(after[cuts[-1]])
    return cuts
