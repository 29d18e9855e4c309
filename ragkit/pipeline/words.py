"""Counting words: the tokenizer of an embedding that offers none, and the terms of a keyword store that tells none."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+|[^\w\s]")


class WordTokenizer:
    """A `Tokenizer` for which every word and every punctuation mark is a token."""

    def __init__(self, max_tokens: int | None = None) -> None:
        self.max_tokens = max_tokens
        self.special_tokens = 0
        self.fingerprint = "words"

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The character span of each word or mark."""
        return [match.span() for match in _WORD.finditer(text)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of words and marks of each text."""
        return [len(self.offsets(text)) for text in texts]


class PlainTerms:
    """A `WeighsTerms` that folds case and weighs every word alike."""

    def terms(self, text: str) -> list[str]:
        """Words of three characters or more, case folded."""
        return [word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2]

    def idf(self, terms: Sequence[str]) -> list[float]:
        """1 for every term."""
        return [1.0] * len(terms)
