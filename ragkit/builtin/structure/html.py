"""The chunker `html`: raw HTML by its block elements; what a source has already made Markdown of is cut by `markdown`."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from llama_index.core.schema import BaseNode

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.chunkers.spans import Span
from ragkit.builtin.structure.markdown import MarkdownChunker
from ragkit.text import sentences

_BLOCKS = {
    **dict.fromkeys(("h1", "h2"), Break.SECTION),
    **dict.fromkeys(("h3", "h4", "h5", "h6"), Break.HEADING),
    **dict.fromkeys(("main", "article", "section", "nav", "aside", "header", "footer", "body"), Break.HEADING),
    **dict.fromkeys(
        ("p", "div", "ul", "ol", "dl", "table", "pre", "blockquote", "figure", "form", "hr", "script", "style", "details"),
        Break.PARAGRAPH,
    ),
    **dict.fromkeys(("li", "dt", "tr", "thead", "tbody", "summary", "figcaption", "option"), Break.SENTENCE),
    **dict.fromkeys(("td", "th", "br", "dd"), Break.LINE),
}
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_TEXT = re.compile(r"\S")
_TAG = re.compile(
    r"""<!--.*?(?:-->|\Z) | <(/?)([a-zA-Z][\w:-]*)((?:[^<>"']|"[^"]{0,4000}"|'[^']{0,4000}')*)> | <[!?][^<>]*>""",
    re.VERBOSE | re.DOTALL,
)
_RAW = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}


class HtmlChunker(MarkdownChunker):
    """Raw HTML, of documents whose `format` is `html`: cut where block elements begin, and between sentences.

    A tag is cut only where it alone is too long for a chunk. Every other document is cut as `markdown` cuts it.
    """

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitHtmlChunker"

    def _spans_of(self, document: BaseNode, text: str) -> list[Span]:
        if document.metadata.get("format") == "html":
            return self.between(text, html_breaks(text, self.language))
        return super()._spans_of(document, text)


def html_breaks(html: str, language: str) -> list[tuple[int, Break]]:
    """Where raw HTML may be cut, in order: at block elements, at sentences between tags."""
    first = _TEXT.search(html)
    if not first:
        return []
    places: dict[int, Break] = {}
    tags: list[Span] = []
    titled = -1
    for span, name, opens in _tags(html):
        tags.append(span)
        if opens or not name:
            kind = _BLOCKS.get(name, Break.WORD)
            follows = titled >= 0 and kind >= Break.PARAGRAPH and not html[titled : span[0]].strip()
            places[span[0]] = Break.BOUND if follows else kind
        titled = span[1] if name in _HEADINGS and not opens else -1
    starts = [start for start, _ in tags]
    for start, _ in sentences(html, language):
        index = bisect_right(starts, start) - 1
        if index < 0 or start >= tags[index][1]:
            places.setdefault(start, Break.SENTENCE)
        elif start == starts[index] and places.get(start) is Break.WORD:
            places[start] = Break.SENTENCE
    places[first.start()] = places.get(first.start(), Break.PARAGRAPH)
    return [(place, kind) for place, kind in sorted(places.items()) if place >= first.start()]


def _tags(html: str) -> Iterator[tuple[Span, str, bool]]:
    """Every tag, comment and declaration in order: where it lies, its name (none of the latter has one), whether it opens.

    Linear in the length of the text, whatever that is; Python's own parser is not. What `<script>` and `<style>` hold
    belongs to them.
    """
    place = 0
    unclosed: set[str] = set()
    while match := _TAG.search(html, place):
        name = (match[2] or "").lower()
        place = match.end()
        if name in _RAW and not match[1] and name not in unclosed:
            closing = _RAW[name].search(html, place)
            if closing:
                place = closing.end()
            else:
                unclosed.add(name)
        yield (match.start(), place), name, not match[1]
