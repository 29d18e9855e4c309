"""How `adaptive` cuts questions with answers, and legal text: by sentence, with better places to begin a chunk."""

from __future__ import annotations

import re

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.nested.detecting import CLAUSE_LINE, is_question

_LINE = re.compile(r"[^\n]*\S[^\n]*")
_TEXT = re.compile(r"\S")


class FaqChunker(SentenceChunker):
    """Chunks begin with questions, and a question stays with its answer, where that is possible."""

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitFaqChunker"

    def places(self, text: str, *, markdown: bool) -> list[tuple[int, Break]]:
        """Those of `sentence`, with questions as the best and what follows them as the worst."""
        found = dict(super().places(text, markdown=markdown))
        asked = False
        for start, line in _lines(text):
            question = is_question(line)
            if question and not asked:
                found[start] = Break.SECTION
            elif asked and start in found:
                found[start] = Break.BOUND
            asked = question
        return sorted(found.items())


class LegalChunker(SentenceChunker):
    """Chunks begin with clauses where that is possible."""

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitLegalChunker"

    def places(self, text: str, *, markdown: bool) -> list[tuple[int, Break]]:
        """Those of `sentence`, with clauses like headings, and their items like paragraphs."""
        found = dict(super().places(text, markdown=markdown))
        for start, line in _lines(text):
            if CLAUSE_LINE.match(line):
                kind = Break.PARAGRAPH if line.lstrip().startswith("(") else Break.HEADING
                found[start] = min(found.get(start, kind), kind)
        return sorted(found.items())


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines with text, and where the text of each begins."""
    found: list[tuple[int, str]] = []
    for match in _LINE.finditer(text):
        first = _TEXT.search(text, match.start())
        found.append((first.start() if first else match.start(), match[0]))
    return found
