from __future__ import annotations

import itertools
from typing import Any

from ragkit.builtin.chunkers.token import TokenChunker


def test_windows_are_full_and_overlap(words: Any) -> None:
    text = " ".join(f"w{n}" for n in range(1_000))
    spans = TokenChunker(tokenizer=words, size=100, overlap=20).spans(text)
    windows = [text[start:end].split() for start, end in spans]
    assert [len(window) for window in windows[:-1]] == [100] * (len(windows) - 1)
    assert all(before[-20:] == after[:20] for before, after in itertools.pairwise(windows))
    assert windows[-1][-1] == "w999"


def test_cuts_stand_between_words(wordpiece: Any) -> None:
    text = "Electroencephalographically, otorhinolaryngologists hyperparameterise antidisestablishmentarianism. " * 60
    spans = TokenChunker(tokenizer=wordpiece, size=64, overlap=16).spans(text)
    assert all((start == 0 or text[start - 1] == " ") and (end == len(text) or text[end] == " ") for start, end in spans)
    assert len(spans) > 10


def test_byte_pairs_fill_their_windows_too(bytepairs: Any) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 200
    chunker = TokenChunker(tokenizer=bytepairs, size=128, overlap=0)
    counts = bytepairs.count([text[start:end] for start, end in chunker.spans(text)])
    assert max(counts) <= 128
    assert sum(counts[:-1]) / len(counts[:-1]) > 0.9 * 128


def test_a_short_text_is_one_chunk(wordpiece: Any) -> None:
    assert TokenChunker(tokenizer=wordpiece, size=64, overlap=16).spans("  One line.\n") == [(2, 11)]
