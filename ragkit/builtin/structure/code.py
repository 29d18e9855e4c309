"""The chunker `code`: along the syntax tree, so that what fits into a chunk stays whole."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from llama_index.core.schema import BaseNode

from ragkit.builtin.chunkers.recursive import RecursiveChunker
from ragkit.builtin.chunkers.spans import Span, SpanChunker, fit, in_order
from ragkit.builtin.structure.grammars import language_of, parser
from ragkit.builtin.structure.tree import Fits, Part, fits_in, join, rests, small_size

if TYPE_CHECKING:
    from tree_sitter import Node

_LINES = ("\n\n", "\n", " ")
_MOST_CHARS = 2_000_000
_DEEPEST = 60
"""Beyond either a file is cut by lines: such are data, and parsers take long over them."""
_PRECEDES = ("comment", "attribute", "annotation", "decorator", "modifier")
"""What belongs to the definition behind it, by a part of its type."""


class CodeChunker(SpanChunker):
    """Functions and classes whole where they fit, with the comments and decorators before them; small ones together.

    A class that does not fit is cut between its methods, a function between its statements, and those by lines, where up to
    `overlap` of lines is repeated. What is in no known language is cut by lines: at empty ones first.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitCodeChunker"

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of a text in no known language lie: by lines."""
        return self._lines(text)

    def _spans_of(self, document: BaseNode, text: str) -> list[Span]:
        metadata = document.metadata
        language = language_of(metadata.get("programming_language"), metadata.get("uri"))
        if language is None or len(text) > _MOST_CHARS:
            return self._lines(text)
        return self.parsed(text, language)

    def parsed(self, text: str, language: str) -> list[Span]:
        """Where the chunks of a text in that language lie."""
        raw = text.encode("utf-8", "surrogatepass")
        tree = parser(language).parse(raw)
        fits = fits_in(text, self.size, self._measure)
        small = fits_in(text, small_size(self.size), self._measure)
        reading = _Reading(text, raw)
        spans: list[Span] = []
        for part in self._split(reading, (0, len(text)), [tree.root_node], (fits, small), 0):
            start, end = part.span
            if fits(part.span):
                spans.append(part.span)
            else:
                spans += [(start + a, start + b) for a, b in self._lines(text[start:end])]
        return in_order(fit(text, spans, self.size, self._measure))

    def _split(self, reading: _Reading, span: Span, nodes: Sequence[Node], tests: tuple[Fits, Fits], depth: int) -> list[Part]:
        """The parts of a stretch of text that `nodes` lie in: itself if it fits, else each child that begins on a line."""
        fits, _ = tests
        cuts: list[int] = []
        while not cuts:
            if not nodes or depth > _DEEPEST or fits(span):
                return [Part(span)]
            cuts = [place for place in reading.places(nodes) if span[0] < place < span[1]]
            if not cuts:
                nodes = [child for node in nodes for child in node.children]
            depth += 1
        places = [span[0], *cuts, span[1]]
        inside = reading.by_place(nodes, places)
        parts: list[Part] = []
        for part, members in zip(pairwise(places), inside, strict=True):
            found = self._split(reading, part, members, tests, depth)
            parts += found if len(found) == 1 and fits(part) else rests(found)
        return join(parts, *tests)

    def _lines(self, text: str) -> list[Span]:
        """The spans of a text cut at empty lines, at lines and at words."""
        cutter = RecursiveChunker(
            tokenizer=self.tokenizer, size=self.size, overlap=self.overlap, unit=self.unit, separators=_LINES
        )
        return cutter.spans(text)


class _Reading:
    """A text with the places of its syntax tree, which counts in bytes."""

    def __init__(self, text: str, raw: bytes) -> None:
        self._text = text
        self._raw = raw
        self._plain = len(raw) == len(text)

    def places(self, nodes: Iterable[Node]) -> list[int]:
        """Where the lines begin on which one of `nodes` is the first, and not what belongs to the one before it."""
        starts: list[int] = []
        last = -1
        precedes = False
        for node in nodes:
            line = node.start_point[0]
            fresh = line > last
            if fresh and not (precedes and line <= last + 1):
                starts.append(node.start_byte)
            # a comment behind something on its line belongs to that
            precedes = (fresh or precedes) and any(kind in node.type for kind in _PRECEDES)
            end = node.end_point
            last = max(last, end[0] - (end[1] == 0 and end[0] > line))
        return sorted({self._line_start(place) for place in self._in_characters(starts)})

    def by_place(self, nodes: Sequence[Node], places: Sequence[int]) -> list[list[Node]]:
        """The nodes between each two of `places`."""
        starts = self._in_characters([node.start_byte for node in nodes])
        found: list[list[Node]] = []
        for one, other in pairwise(places):
            first, end = bisect_left(starts, one), bisect_left(starts, other)
            found.append(list(nodes[first:end]))
        return found

    def _line_start(self, place: int) -> int:
        return self._text.rfind("\n", 0, place) + 1

    def _in_characters(self, offsets: Sequence[int]) -> list[int]:
        """Byte offsets, which ascend, as character offsets."""
        if self._plain:
            return list(offsets)
        found, place, last = [], 0, 0
        for offset in offsets:
            at = offset
            while at > last and at < len(self._raw) and self._raw[at] & 0xC0 == 0x80:
                at -= 1
            place += len(self._raw[last:at].decode("utf-8", "surrogatepass"))
            last = at
            found.append(place)
        return found
