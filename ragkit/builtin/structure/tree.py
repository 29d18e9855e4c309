"""Cutting along a tree: what fits stays whole, what does not is cut into its children, and small neighbours are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragkit.builtin.chunkers.spans import Span, trim
from ragkit.components import Tokenizer

_SMALL_SHARE = 8
"""A rest of less than this part of a chunk is joined with what it does not belong to."""


@dataclass(frozen=True)
class Part:
    """A stretch of text that is not cut again. One that is a rest of something larger is not `whole`."""

    span: Span
    whole: bool = True


Fits = Callable[[Span], bool]


def fits_in(text: str, size: int, measure: Tokenizer) -> Fits:
    """Whether a span of `text` has at most `size`; a span far beyond is not counted."""

    def fits(span: Span) -> bool:
        bare = trim(text, *span)
        if bare is None:
            return True
        start, end = bare
        return end - start <= size or (end - start <= size * 32 and measure.count([text[start:end]])[0] <= size)

    return fits


def join(parts: Sequence[Part], fits: Fits, small: Fits) -> list[Part]:
    """Neighbouring parts as one where both are whole, or one of them is small, and together they fit."""
    joined: list[Part] = []
    for part in parts:
        if joined:
            before = joined[-1]
            together = (before.span[0], part.span[1])
            if ((before.whole and part.whole) or small(before.span) or small(part.span)) and fits(together):
                joined[-1] = Part(together, before.whole and part.whole)
                continue
        joined.append(part)
    return joined


def rests(parts: Sequence[Part]) -> list[Part]:
    """The same parts as what is left of something that had to be cut."""
    return [Part(part.span, whole=False) for part in parts]


def small_size(size: int) -> int:
    """What counts as small beside chunks of `size`."""
    return max(1, size // _SMALL_SHARE)
