"""Reading a text's own structure: sentences, Markdown headings, pages. Spans are character offsets, end exclusive."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

PAGE_BREAK = "\f"
"""Between the pages of a document that has pages."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*(?:\{[^}]*\})?[ \t]*$")


@dataclass(frozen=True)
class Heading:
    """A Markdown heading: where its line starts, its level (1 to 6) and its words."""

    start: int
    level: int
    title: str


def headings(markdown: str) -> list[Heading]:
    """The ATX headings (`## Install`) of a Markdown text in order, those in fenced code left out."""
    found: list[Heading] = []
    fence = ""
    position = 0
    for line in markdown.splitlines(keepends=True):
        marker = _FENCE.match(line)
        if fence:
            if marker and marker[1].startswith(fence) and not line[marker.end() :].strip():
                fence = ""
        elif marker:
            fence = marker[1]
        elif line.lstrip(" ").startswith("#") and (heading := _HEADING.match(line.rstrip("\r\n"))):
            found.append(Heading(position, len(heading[1]), heading[2].strip()))
        position += len(line)
    return found


def heading_path(outline: Sequence[Heading], position: int) -> list[str]:
    """The titles of the headings above `position`, outermost first; a heading that starts there is one of them."""
    path: list[Heading] = []
    for heading in outline[: bisect_right([item.start for item in outline], position)]:
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
    return [heading.title for heading in path if heading.title]


def pages(text: str) -> list[int]:
    """Where each page starts; empty for a text without page breaks."""
    breaks = [match.end() for match in re.finditer(PAGE_BREAK, text)]
    return [0, *breaks] if breaks else []


def sentences(text: str, language: str = "en") -> list[tuple[int, int]]:
    """The spans of the sentences of `text`, without the space around them. List items and headings count as sentences."""
    from sentencex import get_sentence_boundaries

    spans: list[tuple[int, int]] = []
    for boundary in get_sentence_boundaries(language, text):
        start, end = int(boundary["start_index"]), int(boundary["end_index"])
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            start += piece.index(stripped[0]) if piece[0].isspace() else 0
            spans.append((start, start + len(stripped)))
    return spans
