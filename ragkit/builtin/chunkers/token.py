"""The chunker `token`: windows of equal size over the tokens of a text."""

from __future__ import annotations

from dataclasses import dataclass

from ragkit.builtin.chunkers.spans import Span, SpanChunker, fit, in_order
from ragkit.components import Tokenizer

_MARGIN_SHARE = 64
_SEARCH_SHARE = 4


@dataclass(frozen=True)
class _Cuts:
    """Where a text may be cut: character `places`, how many `tokens` come before each, and which begin a `word`."""

    places: list[int]
    tokens: list[int]
    word: list[bool]


class TokenChunker(SpanChunker):
    """Windows of `size` tokens, each repeating the last `overlap` tokens of the one before, cut between words.

    Where no word begins in the last quarter of a window, the cut is between two tokens.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitTokenChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the windows over `text` lie, in order."""
        cuts = _cuts(text, self._measure)
        # where a window alone may count a little more than it did in its text, a margin saves cutting it in half
        size = self.size if self._splits_at_space else self.size - max(1, self.size // _MARGIN_SHARE)
        spans: list[Span] = []
        proven: list[bool] = []
        first, last = 0, len(cuts.places) - 1
        while True:
            end = _window_end(cuts, first, size)
            spans.append((cuts.places[first], cuts.places[end]))
            proven.append(self._splits_at_space and cuts.word[first] and cuts.word[end])
            if end == last:
                return in_order(fit(text, spans, self.size, self._measure, proven))
            first = _window_start(cuts, first, end, self.overlap)


def _cuts(text: str, tokenizer: Tokenizer) -> _Cuts:
    """The places before each token that begins after all before it have ended, the beginning and the end."""
    places, tokens, word = [0], [0], [True]
    covered = count = 0
    for start, end in tokenizer.offsets(text):
        if start > places[-1] and start >= covered:
            places.append(start)
            tokens.append(count)
            word.append(text[start - 1] in " \t\n")
        covered = max(covered, end)
        count += 1
    if places[-1] < len(text):
        places.append(len(text))
        tokens.append(count)
        word.append(True)
    return _Cuts(places, tokens, word)


def _window_end(cuts: _Cuts, first: int, size: int) -> int:
    """The cut that ends a window of at most `size` tokens from the cut `first` on, at a word if one is near."""
    last = len(cuts.places) - 1
    end = min(first + 1, last)
    while end < last and cuts.tokens[end + 1] - cuts.tokens[first] <= size:
        end += 1
    if end == last:
        return last
    for place in range(end, first, -1):
        if cuts.tokens[end] - cuts.tokens[place] > size // _SEARCH_SHARE:
            break
        if cuts.word[place]:
            return place
    return end


def _window_start(cuts: _Cuts, first: int, end: int, overlap: int) -> int:
    """The cut that begins the next window: the first word within the last `overlap` tokens, else at that distance."""
    start = end
    while start > first + 1 and cuts.tokens[end] - cuts.tokens[start - 1] <= overlap:
        start -= 1
    return next((place for place in range(start, end) if cuts.word[place]), start)
