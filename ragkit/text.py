"""Reading a text's own structure: sentences, Markdown headings and code, pages. Spans are character offsets, end exclusive."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

PAGE_BREAK = "\f"
"""Between the pages of a document that has pages."""

LEAD_TOKENS = 32
"""How many tokens the host may put before a chunk's text in what is embedded: its title or heading path."""

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})(.*)$", re.MULTILINE)
# begun with the line ends before them, which `re` looks for many times as quickly as for `^`
_HEADING = re.compile(r"\n {0,3}(#{1,6})(?:[ \t]+(.*))?$", re.MULTILINE)
_UNDERLINED = re.compile(r"\n\n {0,3}([^\s#>|`~*+=-].*)\n {0,3}(=+|--+)[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"\n {0,3}(?:=|--)")
_ATTRIBUTES = re.compile(r"\{:?\s*[#.\w][^{}]*\}\Z")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*|\f\s*")
_MAX_BLOCK_CHARS = 20_000
_ENDS_WITHOUT_SPACE = frozenset("。！？；…．｡」』）”")


@dataclass(frozen=True)
class Heading:
    """A Markdown heading: where its line starts, its level (1 to 6) and its words."""

    start: int
    level: int
    title: str


def fences(markdown: str) -> list[tuple[int, int]]:
    """The spans of the fenced code blocks, fences included; one that is never closed reaches to the end (CommonMark 4.5)."""
    spans: list[tuple[int, int]] = []
    if "```" not in markdown and "~~~" not in markdown:
        return spans
    opened, start = "", 0
    for match in _FENCE.finditer(markdown):
        fence, info = match[1], match[2]
        if not opened:
            if fence[0] == "~" or "`" not in info:
                opened, start = fence, match.start()
        elif fence.startswith(opened) and not info.strip():
            spans.append((start, match.end()))
            opened = ""
    if opened:
        spans.append((start, len(markdown)))
    return spans


def headings(markdown: str) -> list[Heading]:
    """The headings of a Markdown text in order (`## Install`, or underlined), those in fenced code left out."""
    found = [Heading(match.start(), len(match[1]), _title(match[2] or "")) for match in _HEADING.finditer(f"\n{markdown}")]
    underlined = [
        Heading(match.start(), 1 if match[2][0] == "=" else 2, _title(match[1]))
        for match in (_UNDERLINED.finditer(f"\n\n{markdown}") if _RULE.search(markdown) else ())
    ]
    if underlined:
        found = sorted([*found, *underlined], key=lambda heading: heading.start)
    code = fences(markdown) if found else []
    if not code:
        return found
    starts = [start for start, _ in code]

    def is_code(position: int) -> bool:
        index = bisect_right(starts, position) - 1
        return index >= 0 and position < code[index][1]

    return [heading for heading in found if not is_code(heading.start)]


def _title(line: str) -> str:
    """The words of a heading, without closing hashes and an attribute list (`{ #install }`)."""
    title = line.strip()
    if title.endswith("}") and (attributes := _ATTRIBUTES.search(title, title.rfind("{"))):
        inner = attributes[0].strip("{}: ")
        if inner[:1] in "#." or "=" in inner:
            title = title[: attributes.start()].rstrip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def pages(text: str) -> list[int]:
    """Where each page starts; empty for a text without page breaks."""
    breaks = [match.end() for match in re.finditer(PAGE_BREAK, text)]
    return [0, *breaks] if breaks else []


def whole(text: str) -> str:
    """`text` with halves of characters (UTF-16 surrogates) joined where they make one, else replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def sentences(text: str, language: str = "en") -> list[tuple[int, int]]:
    """The spans of the sentences of `text`, without the space around them. List items and headings count as sentences.

    `language` is an ISO 639-1 code; one that is not known is read like English.
    """
    from sentencex import get_sentence_boundaries

    spans: list[tuple[int, int]] = []
    for block, block_end in _blocks(text):
        for boundary in get_sentence_boundaries(language, text[block:block_end]):
            start, end = block + int(boundary["start_index"]), block + int(boundary["end_index"])
            piece = text[start:end]
            stripped = piece.strip()
            if not stripped:
                continue
            if piece[0].isspace():
                start += len(piece) - len(piece.lstrip())
            end = start + len(stripped)
            # sentencex also cuts after a mark inside a word (`![image](…)`); only scripts without spaces do that
            if spans and start == spans[-1][1] and text[start - 1] not in _ENDS_WITHOUT_SPACE:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
    return spans


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """The paragraphs, very long ones in parts: sentencex takes quadratic time on some texts, such as many fences."""
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        yield from _parts(text, start, gap.end())
        start = gap.end()
    yield from _parts(text, start, len(text))


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _MAX_BLOCK_CHARS:
        stop = start + _MAX_BLOCK_CHARS
        cut = text.rfind("\n", start, stop) + 1 or text.rfind(" ", start, stop) + 1 or stop
        yield start, cut
        start = cut
    yield start, end
