"""Reading a text as plain words: for embeddings without a tokenizer, keyword stores that tell no terms, and fakes."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(r"\w+|[^\w\s]")
_WORD = re.compile(r"\w+")


def plain_terms(text: str) -> list[str]:
    """The words of `text`, folded, in order."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class WordTokenizer:
    """A `Tokenizer` for which a word or a punctuation mark is a token."""

    max_tokens: int | None = 256
    special_tokens: int = 2

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(f"words:{self.max_tokens}:{self.special_tokens}".encode()).hexdigest()

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(_TOKEN.findall(text)) for text in texts]


@dataclass(frozen=True)
class PlainTerms:
    """`WeighsTerms` over plain words. `frequencies` says in how many of `total` chunks a term occurs."""

    frequencies: Mapping[str, int] = field(default_factory=dict)
    total: int = 0

    def terms(self, text: str) -> list[str]:
        return plain_terms(text)

    def idf(self, terms: Sequence[str]) -> list[float]:
        """ln(1 + (N − df + 0.5) / (df + 0.5)), as Lucene has it."""
        counts = [self.frequencies.get(term, 0) for term in terms]
        return [math.log1p((self.total - count + 0.5) / (count + 0.5)) for count in counts]
