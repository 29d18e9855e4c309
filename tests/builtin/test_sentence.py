"""The chunker `sentence`: where it cuts, what it repeats, and that an edit changes few chunks."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragkit.builtin.chunkers.sentence import SentenceChunker

SENTENCE = "This page was reviewed by the documentation team in the spring of this year."
EDITS: dict[str, Callable[[str], str]] = {
    "a sentence before all": lambda text: f"{SENTENCE}\n\n{text}",
    "a sentence below the title": lambda text: text.replace("\n\n", f"\n\n{SENTENCE} ", 1),
    "a sentence in the middle": lambda text: text[: (at := text.index(". ", len(text) // 2) + 2)] + SENTENCE + " " + text[at:],
    "a paragraph at the end": lambda text: f"{text}\n\n{SENTENCE}\n",
    "a paragraph less at the top": lambda text: "\n\n".join(part for n, part in enumerate(text.split("\n\n")) if n != 1),
}


def chunk_texts(chunker: SentenceChunker, text: str) -> list[str]:
    return [text[start:end] for start, end in chunker.spans(text)]


@pytest.fixture(scope="module")
def longest(data: Path) -> list[str]:
    """The 30 longest pages."""
    folder = data / "fastapi_docs"
    return sorted((path.read_text(encoding="utf-8") for path in folder.rglob("*.md")), key=len)[-30:]


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_changes_few_chunks(edit: Callable[[str], str], longest: list[str], wordpiece: Any) -> None:
    chunker = SentenceChunker(tokenizer=wordpiece, size=220, overlap=32)
    new = sorted(len(set(chunk_texts(chunker, edit(text))) - set(chunk_texts(chunker, text))) for text in longest)
    assert statistics.median(new) <= 2, new
    assert new[int(0.95 * len(new))] <= 6, new


def test_chunks_are_well_filled(longest: list[str], wordpiece: Any) -> None:
    chunker = SentenceChunker(tokenizer=wordpiece, size=220, overlap=32)
    counts = wordpiece.count([chunk for text in longest for chunk in chunk_texts(chunker, text)])
    assert statistics.mean(counts) / 220 >= 0.6


def sentences(topic: str, count: int) -> str:
    return " ".join(f"{topic} sentence number {n} has eight words." for n in range(count))


def test_cuts_stand_before_headings(words: Any) -> None:
    text = "\n\n".join(f"## Part {n}\n\n{sentences(f'Topic{n}', 8)}" for n in range(6))
    chunks = chunk_texts(SentenceChunker(tokenizer=words, size=80, overlap=10), text)
    assert [chunk.split("\n")[0] for chunk in chunks] == [f"## Part {n}" for n in range(6)]


def test_a_heading_is_never_alone_at_the_end(words: Any) -> None:
    text = "\n\n".join(f"### Part {n}\n\n{sentences('Some', 3 + n % 5)}" for n in range(40))
    chunks = chunk_texts(SentenceChunker(tokenizer=words, size=60, overlap=8), text)
    assert not [chunk for chunk in chunks if chunk.splitlines()[-1].startswith("#")]


def test_hashes_in_plain_text_are_no_headings(words: Any) -> None:
    text = "\n".join(f"# comment {n}\n{sentences('Code', 3)}" for n in range(30))
    chunker = SentenceChunker(tokenizer=words, size=64, overlap=0)
    assert chunker.spans(text, markdown=False) != chunker.spans(text, markdown=True)


def test_short_code_is_not_torn(words: Any) -> None:
    code = "```python\ndef f(x):\n    y = x\n\n    return y\n```"
    text = "\n\n".join(f"{sentences('Prose', 4)}\n\n{code}" for _ in range(20))
    chunks = chunk_texts(SentenceChunker(tokenizer=words, size=64, overlap=0), text)
    assert all(chunk.count("```") % 2 == 0 for chunk in chunks)


def test_long_code_is_cut_between_its_lines(words: Any) -> None:
    lines = [f"    value_{n} = compute({n}) + {n}" for n in range(200)]
    text = "```python\n" + "\n".join(lines) + "\n```\n"
    chunks = chunk_texts(SentenceChunker(tokenizer=words, size=64, overlap=0), text)
    assert len(chunks) < 40
    assert {line.strip() for chunk in chunks for line in chunk.splitlines()} == {
        "```python",
        "```",
        *(line.strip() for line in lines),
    }


def test_whole_sentences_are_repeated_but_not_across_headings(words: Any) -> None:
    text = sentences("First", 40) + "\n\n## Next\n\n" + sentences("Second", 40)
    chunker = SentenceChunker(tokenizer=words, size=64, overlap=16)
    spans = chunker.spans(text)
    heading = text.index("## Next")
    repeated = [text[after[0] : before[1]] for before, after in itertools.pairwise(spans) if after[0] < before[1]]
    assert len(repeated) > 4
    assert all(piece.endswith("words.") and 0 < len(piece.split()) <= 16 for piece in repeated)
    assert all(start >= heading or end <= heading for start, end in spans)
    alone = SentenceChunker(tokenizer=words, size=64, overlap=0).spans(text)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(alone))


def test_a_sentence_longer_than_a_chunk_is_cut_at_words(words: Any) -> None:
    text = "word " * 500
    chunks = chunk_texts(SentenceChunker(tokenizer=words, size=50, overlap=0), text)
    assert sum(len(chunk.split()) for chunk in chunks) == 500
    assert max(len(chunk.split()) for chunk in chunks) <= 50
    assert len(chunks) <= 14
