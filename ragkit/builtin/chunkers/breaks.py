"""Where a text may be cut, and how much each place costs."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left, bisect_right
from enum import IntEnum

from ragkit.text import fences, headings, sentences

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*|\f\s*")
_LINE = re.compile(r"(?<=\n)[ \t]*(?=\S)")
_CODE_LINE = re.compile(r"(\n[ \t]*)?\n[ \t]*(?=\S)")
_TEXT = re.compile(r"\S")
_LINE_END = re.compile(r"\n|\Z")
_HASHED_CHARS = 64


class Break(IntEnum):
    """What begins at a place where the text may be cut, from the best place to the worst."""

    SECTION = 0
    """A heading of level 1 or 2."""
    HEADING = 1
    PARAGRAPH = 2
    """Also a page, or a block of code."""
    SENTENCE = 3
    """Also a list item."""
    BLOCK = 4
    """Code after an empty line."""
    LINE = 5
    WORD = 6
    BOUND = 7
    """What follows a heading, or a line that announces something with a colon."""
    INSIDE = 8
    """The middle of a word."""


Breaks = dict[int, Break]


def find_breaks(text: str, language: str, *, markdown: bool, long: int) -> list[tuple[int, Break]]:
    """The places in order, each at a character that is no space; the first is where the text begins.

    Code and sentences of more than `long` characters may also be cut between their lines.
    """
    first = _TEXT.search(text)
    if not first:
        return []
    places: Breaks = {}
    for start, end in sentences(text, language):
        places[start] = Break.SENTENCE
        if end - start > long:
            places.update((line.end(), Break.LINE) for line in _LINE.finditer(text, start + 1, end))
    places.update((gap.end(), Break.PARAGRAPH) for gap in _PARAGRAPH.finditer(text) if gap.end() < len(text))
    if markdown:
        places = _mind_code(text, places, long)
        _mind_headings(text, places)
    places[first.start()] = places.get(first.start(), Break.PARAGRAPH)
    return [(place, _bound(text, place, kind)) for place, kind in sorted(places.items()) if place >= first.start()]


def _mind_code(text: str, places: Breaks, long: int) -> Breaks:
    """No cut inside fenced code but between the lines of a long one."""
    code = fences(text)
    if not code:
        return places
    starts = [start for start, _ in code]
    kept: Breaks = {}
    for place, kind in places.items():
        index = bisect_right(starts, place) - 1
        if index < 0 or place >= code[index][1]:
            kept[place] = kind
    for start, end in code:
        opening = _next_text(text, start)
        kept[opening] = places.get(opening, Break.LINE)
        after = _next_text(text, end)
        if after < len(text):
            kept.setdefault(after, Break.LINE)
        if end - start > long:
            body = _LINE_END.search(text, _line_end(text, opening) + 1)
            for line in _CODE_LINE.finditer(text, body.start() if body else end, text.rfind("\n", start, end)):
                kept[line.end()] = Break.BLOCK if line[1] else Break.LINE
    return kept


def _mind_headings(text: str, places: Breaks) -> None:
    """Headings are the best places; right behind one is among the worst, and inside one there is none."""
    outline = headings(text)
    ordered = sorted(places)
    for heading in outline:
        start = _next_text(text, heading.start)
        end = _line_end(text, start)
        for place in ordered[bisect_right(ordered, start) : bisect_left(ordered, end)]:
            places.pop(place, None)
        after = _next_text(text, end)
        if after < len(text):
            places[after] = Break.BOUND
    for heading in outline:
        places[_next_text(text, heading.start)] = Break.SECTION if heading.level <= 2 else Break.HEADING


def _bound(text: str, place: int, kind: Break) -> Break:
    if Break.PARAGRAPH <= kind <= Break.LINE and text[max(0, place - 16) : place].rstrip().endswith((":", "：")):
        return Break.BOUND
    return kind


def _next_text(text: str, position: int) -> int:
    match = _TEXT.search(text, position)
    return match.start() if match else len(text)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def jitter(text: str, place: int) -> float:
    """A number in [0, 1) made of the text at `place` alone, so that two runs which differ elsewhere agree on it."""
    return zlib.crc32(text[place : place + _HASHED_CHARS].encode("utf-8", "surrogatepass")) / 2**32
