"""Character ranges: where a quote stands, and how much of what was retrieved covers what answers.

The three measures are those of Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval" (Chroma, 2024), over
characters: what is retrieved twice counts twice against precision and IoU.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Range = tuple[int, int]
"""From a character to the one behind the last."""


@dataclass(frozen=True)
class Overlap:
    """How retrieved and relevant characters overlap: three numbers from 0 to 1."""

    recall: float
    precision: float
    iou: float


def overlap(retrieved: Iterable[tuple[str, Range]], relevant: Mapping[str, Sequence[Range]]) -> Overlap:
    """Compare retrieved ranges with relevant ones, both by document. `relevant` must not be empty."""
    chunks: dict[str, list[Range]] = {}
    for document, found in retrieved:
        chunks.setdefault(document, []).append(found)
    wanted = {document: merge(ranges) for document, ranges in relevant.items()}
    length = sum(map(_length, wanted.values()))
    taken = sum(map(_length, chunks.values()))
    covered = sum(_common(merge(chunks.get(document, ())), ranges) for document, ranges in wanted.items())
    return Overlap(covered / length, covered / taken if taken else 0.0, covered / (taken + length - covered))


def locate(text: str, quote: str, near: int | None = None) -> Range | None:
    """Where `quote` stands in `text`, however its white space is written there; the place nearest to `near`, or the first."""
    at = text.find(quote)
    if at >= 0 and near is None:
        return at, at + len(quote)
    pattern = re.escape(quote) if at >= 0 else r"\s+".join(map(re.escape, quote.split()))
    places = [match.span() for match in re.finditer(pattern, text)]
    return min(places, key=lambda place: abs(place[0] - (near or 0))) if places else None


def merge(ranges: Iterable[Range]) -> list[Range]:
    """The same characters in order, without overlaps."""
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _common(one: Sequence[Range], other: Sequence[Range]) -> int:
    """How many characters two merged lists share."""
    shared, at = 0, 0
    for start, end in one:
        while at < len(other) and other[at][1] <= start:
            at += 1
        ahead = at
        while ahead < len(other) and other[ahead][0] < end:
            shared += min(end, other[ahead][1]) - max(start, other[ahead][0])
            ahead += 1
    return shared


def _length(ranges: Sequence[Range]) -> int:
    return sum(end - start for start, end in ranges)
