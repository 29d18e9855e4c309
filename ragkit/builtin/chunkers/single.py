"""The chunker `sentence_window`: one sentence per chunk."""

from __future__ import annotations

from itertools import pairwise

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.spans import Span, fit


class SingleSentenceChunker(SentenceChunker):
    """One sentence per chunk; a heading, and a line that ends with a colon, stays with the sentence behind it.

    A sentence of more than `size` is cut as `sentence` cuts it.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitSingleSentenceChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the sentences of `text` lie, in order."""
        places = self.places(text, markdown=markdown)
        if not places:
            return []
        starts = [place for number, (place, kind) in enumerate(places) if number == 0 or kind is not Break.BOUND]
        ends = [*starts[1:], len(text)]
        found: list[Span] = []
        counts = self._measure.count([text[start:end] for start, end in zip(starts, ends, strict=True)])
        for start, end, count in zip(starts, ends, counts, strict=True):
            if count <= self.size:
                found.append((start, end))
                continue
            inside = [(place, kind) for place, kind in places if start <= place < end]
            found += self._apart(text, start, end, inside)
        return fit(text, found, self.size, self._measure)

    def _apart(self, text: str, start: int, end: int, places: list[tuple[int, Break]]) -> list[Span]:
        """What is too long for one chunk: at the places that it has, and what is still too long as `sentence` cuts it."""
        found: list[Span] = []
        for one, other in pairwise([*(place for place, _ in places), end]):
            if self._measure.count([text[one:other]])[0] <= self.size:
                found.append((one, other))
            else:
                found += [(one + a, one + b) for a, b in self.between(text[one:other], [(0, Break.SENTENCE)])]
        return found
