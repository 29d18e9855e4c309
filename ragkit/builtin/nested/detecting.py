"""What kind of text a document is: code, questions with answers, legal text, or none of these.

A document is the first of these whose rule it satisfies. The rules look at its metadata and its first 20,000 characters;
lines are those with text.

- *code*: it has `programming_language`, or its URI the suffix of a known language; or of 5 lines or more at least 40 %
  look like code: they end with `;`, `{`, `}`, `):` or a comma behind a word, begin with a keyword of programming languages
  or a comment sign, call or assign. In Markdown the lines are not looked at: its code is in fences.
- *faq*: at least 3 questions, a line of at most 200 characters that ends with a question mark or begins with `Q:` or
  `Question`; and at least one line in 8 is one.
- *legal*: at least 3 lines begin as clauses do (`§ 5`, `Article 5`, `Section 2.1`, `2.1.3 `, `(a)`), and words of
  legal language (`shall`, `hereby`, `pursuant`, `party`…) are at least 1 word in 100.
- *general*: everything else.
"""

from __future__ import annotations

import re
from typing import Literal

from ragkit.builtin.structure.grammars import language_of

TextKind = Literal["code", "faq", "legal", "general"]

_SAMPLE_CHARS = 20_000
_CODE_LINES = 5
_CODE_SHARE = 0.4
_QUESTIONS = 3
_QUESTION_SHARE = 1 / 8
_QUESTION_CHARS = 200
_CLAUSES = 3
_LEGAL_SHARE = 1 / 100

_CODE_LINE = re.compile(
    r"""^\s*(?:
        .*[;{}]\s*(?://.*)?$ | .*\)\s*:$ | [\])}]+[,;]?$ | .*[\w\])"'],$
        | (?:def|class|import|from|return|public|private|protected|static|void|const|let|var|func|fn|struct|impl|package
          |namespace|using|elif|else|try|except|catch|switch|case|enum|interface|type|if|for|while)\b.*[:({;=]
        | (?:import|from|package|using|require|include|return)\s+[\w.*"'<{@/-]+\S*(?:\s+import\s.+)?$
        | (?:\#include|\#define|\#!|//|/\*|\*/|@\w+(?:\(.*\))?$)
        | [\w.\[\]"']+\s*(?::\s*[\w\[\], |.]+)?(?:=|:=|\+=|-=)\s*\S.*[^.!?]$
        | [\w.]+\(.*\)$
    )""",
    re.VERBOSE,
)
QUESTION_LINE = re.compile(r"^\s*(?:[#>*\-\d.)\s]*)(?:Q\s*\d*\s*[:.)]|Question\b|\S.*[?？]\s*[*_]*\s*$)", re.IGNORECASE)
CLAUSE_LINE = re.compile(
    r"^[ \t#*]*(?:§+\s*\d|(?:article|section|clause|schedule|annex|artikel|chapter)\s+(?:\d|[ivxlc]+\b)"
    r"|\d+(?:\.\d+)+\.?\s+\S|\d+\.\s+[A-Z]|\((?:[a-z]|[ivx]{1,4}|\d{1,2})\)\s)",
    re.IGNORECASE,
)
_LEGAL_WORD = re.compile(
    r"\b(?:shall|hereby|herein|hereof|hereto|hereunder|thereof|pursuant|notwithstanding|party|parties|agreement|liability"
    r"|liable|indemnif\w+|warrant\w+|licensor|licensee|jurisdiction|statute|provisions?|contract\w*|terminat\w+"
    r"|obligations?|gemäß|absatz|satz)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")


def kind_of(text: str, *, programming_language: object = None, uri: object = "", markdown: bool = False) -> TextKind:
    """The kind of a document with that text and these metadata."""
    if programming_language or language_of(None, uri) is not None:
        return "code"
    sample = text[:_SAMPLE_CHARS]
    lines = [line for line in sample.split("\n") if line.strip()]
    if not lines:
        return "general"
    if not markdown and len(lines) >= _CODE_LINES and sum(_is_code(line) for line in lines) >= _CODE_SHARE * len(lines):
        return "code"
    questions = sum(is_question(line) for line in lines)
    if questions >= _QUESTIONS and questions >= _QUESTION_SHARE * len(lines):
        return "faq"
    clauses = sum(CLAUSE_LINE.match(line) is not None for line in lines)
    if clauses >= _CLAUSES and len(_LEGAL_WORD.findall(sample)) >= _LEGAL_SHARE * len(_WORD.findall(sample)):
        return "legal"
    return "general"


def is_question(line: str) -> bool:
    """Whether a line asks a question that others answer."""
    return len(line) <= _QUESTION_CHARS and QUESTION_LINE.match(line) is not None


def _is_code(line: str) -> bool:
    return len(line) <= 2 * _QUESTION_CHARS and _CODE_LINE.match(line) is not None
