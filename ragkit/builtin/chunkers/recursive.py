"""The chunker `recursive`: cut at the first separator that occurs, what is still too long at the next one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ragkit.builtin.chunkers.spans import Span, SpanChunker, fit, in_order

SEPARATORS = ("\n\n", "\n", ". ", " ")


class RecursiveChunker(SpanChunker):
    """Packs what stands between separators into chunks, from the first on, each as full as it gets.

    A separator stays with what comes before it. A chunk repeats the last pieces of the one before, up to `overlap`.
    """

    separators: tuple[str, ...] = SEPARATORS

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitRecursiveChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order."""
        return in_order(fit(text, self._cut(text, (0, len(text)), 0), self.size, self._measure))

    def _cut(self, text: str, span: Span, level: int) -> list[Span]:
        """The chunks of one span, cut at the separators from `level` on."""
        while level < len(self.separators) and not _between(text, span, self.separators[level])[1:]:
            level += 1
        if level >= len(self.separators):
            return [span]
        parts = _between(text, span, self.separators[level])
        sizes = self._measure.count(
            [text[start:end].strip() if self.unit == "tokens" else text[start:end] for start, end in parts]
        )
        found: list[Span] = []
        packed: list[tuple[Span, int]] = []
        for part, size in zip(parts, sizes, strict=True):
            if size <= self.size:
                packed.append((part, size))
                continue
            found += self._pack(packed)
            packed = []
            found += self._cut(text, part, level + 1)
        return found + self._pack(packed)

    def _pack(self, parts: Sequence[tuple[Span, int]]) -> list[Span]:
        """Neighbouring parts that each fit, as chunks that do, with the overlap between them."""
        found: list[Span] = []
        first = total = 0
        for index, ((_, end), size) in enumerate(parts):
            if index > first and total + size > self.size:
                found.append((parts[first][0][0], parts[index - 1][0][1]))
                while first < index and (total > self.overlap or total + size > self.size):
                    total -= parts[first][1]
                    first += 1
            total += size
            if index + 1 == len(parts):
                found.append((parts[first][0][0], end))
        return found


def _between(text: str, span: Span, separator: str) -> list[Span]:
    """The parts of a span that end with `separator`, and what is left."""
    start, end = span
    if not separator:
        return [span]
    places = [start]
    while (at := text.find(separator, places[-1], end)) >= 0:
        at += len(separator)
        if at >= end:
            break
        places.append(at)
    return list(pairwise([*places, end]))
