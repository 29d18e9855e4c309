"""Which parts of a chunk can be quoted: sentences of prose and list items, not headings, code, tables or markup."""

from __future__ import annotations

import re

from ragkit.text import sentences

MAX_QUOTE_CHARS = 400
_MIN_LETTERS = 15

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})(.*)$")
_SKIPPED = re.compile(
    r"^\s*(#{1,6}\s|\||!\[|\{\*|</?[a-zA-Z!]|///|:::|---|===|\*\*\*|\[\^?[^\]]*\]:|(from|import|def|class|return|@)\b)"
)
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_SYLLABIC = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def quotable(text: str) -> list[tuple[int, int]]:
    """The spans of the sentences of `text` that are worth quoting, in order, each at most `MAX_QUOTE_CHARS` long."""
    spans: list[tuple[int, int]] = []
    for start, end in _blocks(text):
        for first, last in sentences(text[start:end]):
            span = _bounded(text, start + first, start + last)
            if letters(text[span[0] : span[1]]) >= _MIN_LETTERS:
                spans.append(span)
    return spans


def anything(text: str) -> list[tuple[int, int]]:
    """The lines of a text that has no sentence to quote (code, a table), empty ones left out."""
    spans = []
    for match in re.finditer(r"[^\n]+", text):
        line = match[0].strip()
        if line and not _FENCE.match(line):
            start = match.start() + match[0].index(line[0])
            spans.append(_bounded(text, start, start + len(line)))
    return spans


def letters(text: str) -> int:
    """How many letters a text has; a Chinese, Japanese or Korean character counts as three."""
    return sum(map(str.isalpha, text)) + 2 * len(_SYLLABIC.findall(text))


def readable(quote: str) -> str:
    """A quote for the eye: links as their words, no emphasis, tags, attributes, bullets or footnote marks, one line."""
    text = _ITEM.sub("", quote)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)(\{[^}]*\})?", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^>]*>", "", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\w*])([*_])(?=\S)([^*_]+?)(?<=\S)\1(?![\w*])", r"\2", text)
    text = re.sub(r"(?<![\w`])\[\d+\]", "", text)
    return " ".join(text.split())


def _blocks(text: str) -> list[tuple[int, int]]:
    """Paragraphs and list items: runs of lines between empty lines, items and lines that are not quoted."""
    blocks: list[tuple[int, int]] = []
    start: int | None = None
    for begin, end, prose in _lines(text):
        if start is not None and (not prose or _ITEM.match(text[begin:end])):
            blocks.append((start, begin))
            start = None
        if prose and start is None:
            start = begin
    if start is not None:
        blocks.append((start, len(text)))
    return blocks


def _lines(text: str) -> list[tuple[int, int, bool]]:
    """Each line's span and whether it is prose. A fence that is only closed was opened in the chunk before."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]*\n|[^\n]+", text)]
    fences = [_FENCE.match(text[start:end].rstrip("\n")) for start, end in lines]
    marks = [mark for mark in fences if mark]
    inside = len(marks) % 2 == 1 and not marks[0][2].strip() and _looks_like_code(text[: lines[fences.index(marks[0])][0]])
    found: list[tuple[int, int, bool]] = []
    for (start, end), fence in zip(lines, fences, strict=True):
        line = text[start:end]
        found.append((start, end, not (fence or inside or not line.strip() or _SKIPPED.match(line))))
        inside ^= fence is not None
    return found


def _looks_like_code(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    signs = sum(bool(re.search(r"[=(){};]|:$|^\s{4,}", line)) for line in lines)
    return bool(lines) and signs * 2 >= len(lines)


def _bounded(text: str, start: int, end: int) -> tuple[int, int]:
    """A span cut at a word so that it is not too long."""
    if end - start <= MAX_QUOTE_CHARS:
        return start, end
    cut = max(text.rfind(" ", start, start + MAX_QUOTE_CHARS), text.rfind("\n", start, start + MAX_QUOTE_CHARS))
    return start, cut if cut > start else start + MAX_QUOTE_CHARS
