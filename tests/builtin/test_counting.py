"""Counting words that are known: the same numbers as the tokenizer's own, in less time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.components import Tokenizer
from ragkit.words import CountsByWord, WordTokenizer, counting

PIECES = (
    "word ", "Word, ", "\n", "\r\n", "\t", "\f", "\x00", "\x1c", "\x85", "\u00a0", "\u2028", "\u200b", "\u3000", "漢字。", "é",
    "e\u0301", "[SEP]", "[CLS] ", "##ing", "x" * 60, "a-b", "'s ", "👩\u200d👧", "ﬁ", "\ufffd", "\u0130", "ß",
)  # fmt: skip


@given(texts=st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=20).map("".join), max_size=5))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_counts_as_the_tokenizer_does(wordpiece: Any, texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    quick = CountsByWord(wordpiece)
    assert quick.count(texts) == wordpiece.count(texts)
    assert quick.count(texts) == wordpiece.count(texts), "also when they are known"


def test_real_corpora_are_counted_and_cut_the_same(data: Path, wordpiece: Any) -> None:
    quick = counting(wordpiece)
    assert isinstance(quick, CountsByWord)
    with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(400), strict=False)]
    texts += [path.read_text(encoding="utf-8") for path in sorted((data / "fastapi_docs").rglob("*.md"))[:60]]
    assert quick.count(texts) == wordpiece.count(texts)
    slow, fast = (SentenceChunker(tokenizer=one, size=220, overlap=32) for one in (wordpiece, quick))
    assert [fast.spans(text) for text in texts] == [slow.spans(text) for text in texts]


def test_only_tokenizers_that_split_at_space_are_wrapped(wordpiece: Any, bytepairs: Any) -> None:
    assert counting(bytepairs) is bytepairs
    wrapped = counting(wordpiece)
    assert counting(wrapped).count(["a b"]) == [2]
    assert isinstance(wrapped, Tokenizer)
    assert (wrapped.max_tokens, wrapped.special_tokens, wrapped.fingerprint) == (256, 2, "test")
    assert wrapped.offsets("two words") == wordpiece.offsets("two words")


class Counting(WordTokenizer):
    """Notes what it is asked."""

    asked: list[str] = []  # noqa: RUF012 - reset by the test

    def count(self, texts: Sequence[str]) -> list[int]:
        self.asked.extend(texts)
        return super().count(texts)


def test_a_word_is_counted_once() -> None:
    inner = Counting()
    quick = CountsByWord(inner)
    Counting.asked.clear()
    assert quick.count(["one two one", "two, three", ""]) == [3, 3, 0]
    assert quick.count(["three one"]) == [2]
    assert sorted(Counting.asked) == ["one", "three", "two", "two,"]


@pytest.mark.timeout(60)
def test_memory_is_bounded_and_threads_may_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.words._MOST_KEPT", 500)
    quick = CountsByWord(WordTokenizer())
    texts = [" ".join(f"w{n * 37 % 4_000}-{n % 7}" for n in range(start, start + 90)) for start in range(0, 8_000, 90)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: quick.count([text])[0], texts)) == WordTokenizer().count(texts)
    assert len(quick._known) <= 500
    quick.count(["x" * 10_000])
    assert "x" * 10_000 not in quick._known
