"""The chunker `markdown`: by heading."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.spans import Span, fit, in_order
from ragkit.builtin.structure.tree import Fits, Part, fits_in, join, rests, small_size
from ragkit.text import Heading, headings


class MarkdownChunker(SentenceChunker):
    """A section with all that is below its heading in one chunk, where that fits; else its own text, and each part of it.

    Small neighbours are joined up to `size`. A text that is too long for one chunk is cut as `sentence` cuts it; so is
    what has no headings.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitMarkdownChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order."""
        return self.sections(text, headings(text) if markdown else [], markdown=markdown)

    def sections(self, text: str, outline: Sequence[Heading], *, markdown: bool) -> list[Span]:
        """Where the chunks of `text` lie, given its headings."""
        if not outline:
            return super().spans(text, markdown=markdown)
        fits = fits_in(text, self.size, self._measure)
        small = fits_in(text, small_size(self.size), self._measure)
        parts = self._cut(text, (0, len(text)), _filled(text, outline), fits, small)
        spans: list[Span] = []
        for part in parts:
            start = part.span[0]
            if fits(part.span):
                spans.append(part.span)
            else:
                spans += [(start + a, start + b) for a, b in self._sentences(text, part.span, markdown=markdown)]
        return in_order(fit(text, spans, self.size, self._measure))

    def _sentences(self, text: str, span: Span, *, markdown: bool) -> list[Span]:
        """A section that is too long, cut at sentences; offsets are in the section."""
        return super().spans(text[slice(*span)], markdown=markdown)

    def _cut(self, text: str, span: Span, outline: Sequence[Heading], fits: Fits, small: Fits) -> list[Part]:
        """The parts of one section: itself if it fits, or has no headings below its own."""
        below = [heading for heading in outline if heading.start > span[0]]
        if not below or fits(span):
            return [Part(span)]
        top = min(heading.level for heading in below)
        starts = [heading.start for heading in below if heading.level == top]
        parts: list[Part] = []
        for part in pairwise(sorted({span[0], *starts, span[1]})):
            inner = [heading for heading in below if part[0] < heading.start < part[1]]
            found = self._cut(text, part, inner, fits, small)
            parts += found if len(found) == 1 else rests(found)
        return join(parts, fits, small)


def _filled(text: str, outline: Sequence[Heading]) -> list[Heading]:
    """The headings but those right behind another one of a higher rank: a heading without text stays with what follows it."""
    filled: list[Heading] = []
    for heading in outline:
        if filled and filled[-1].level < heading.level and not _has_text(text, filled[-1].start, heading.start):
            filled[-1] = Heading(filled[-1].start, heading.level, heading.title)
        else:
            filled.append(heading)
    return filled


def _has_text(text: str, start: int, end: int) -> bool:
    """Whether there is anything behind a heading's own line, or the line that underlines it."""
    lines = text[start:end].strip().split("\n")[1:]
    return any(line.strip().strip("=-") for line in lines)
