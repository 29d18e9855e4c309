"""`recursive`, `sentence_window`, `semantic`, and sizes in characters."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from cutting import build, cut
from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import ValidationError

from ragkit.builtin.chunkers import RecursiveOptions, SentenceOptions
from ragkit.errors import ComponentError
from ragkit.testing import FakeEmbedding
from ragkit.words import WordTokenizer

WORDS = " ".join(f"w{number}" for number in range(60))


def test_recursive_packs_paragraphs_as_full_as_they_get(tmp_path: Path) -> None:
    text = "\n\n".join(" ".join(f"{letter}{n}" for n in range(8)) for letter in "abcde")
    chunks = cut(build(tmp_path, "recursive", size=20, overlap=0), text)
    assert [[part[0] for part in chunk.split("\n\n")] for chunk in chunks] == [["a", "b"], ["c", "d"], ["e"]]


def test_recursive_cuts_what_is_too_long_at_the_next_separator(tmp_path: Path) -> None:
    text = "short one\n\n" + "first line of ten words a b c d e\n" * 4 + "\n\nlast one"
    assert cut(build(tmp_path, "recursive", size=20, overlap=0), text) == [
        "short one", "\n".join(["first line of ten words a b c d e"] * 2), "\n".join(["first line of ten words a b c d e"] * 2),
        "last one",
    ]  # fmt: skip


def test_recursive_repeats_up_to_the_overlap(tmp_path: Path) -> None:
    chunks = cut(build(tmp_path, "recursive", size=20, overlap=5), WORDS)
    assert [chunk.split()[0] for chunk in chunks] == ["w0", "w15", "w30", "w45"]
    assert [len(chunk.split()) for chunk in chunks] == [20, 20, 20, 15]


def test_recursive_in_characters_with_separators_of_one_s_own(tmp_path: Path) -> None:
    chunker = build(tmp_path, "recursive", unit="characters", size=16, overlap=0, separators=[";"])
    assert cut(chunker, "one two;three;four five six;x") == ["one two;three;", "four five six;x"]


def test_what_has_no_separator_is_cut_in_the_middle(tmp_path: Path) -> None:
    assert {len(chunk) for chunk in cut(build(tmp_path, "recursive", unit="characters", size=50, overlap=0), "x" * 100)} == {50}


@pytest.mark.parametrize("name", ["sentence", "recursive", "code"])
def test_sizes_in_characters_never_exceed_what_the_model_reads(tmp_path: Path, name: str) -> None:
    chunker = build(tmp_path, name, tokenizer=WordTokenizer(max_tokens=60), unit="characters", size=1_000, overlap=0)
    chunks = cut(chunker, "a b c d e. " * 200)
    assert max(WordTokenizer().count(chunks)) <= 60 - 2 - 34
    free = build(tmp_path, name, tokenizer=WordTokenizer(max_tokens=None), unit="characters", size=1_000, overlap=0)
    assert 800 < max(map(len, cut(free, "a b c d e. " * 200))) <= 1_000


def test_the_default_in_characters_follows_the_model(tmp_path: Path) -> None:
    assert build(tmp_path, "sentence", unit="characters").size == 4 * 220


def test_sentences_of_at_least_a_length(tmp_path: Path) -> None:
    text = "\n\n".join(f"# Heading {n}\n\n" + "A sentence of it is here. " * (5 if n % 2 else 14) for n in range(12))
    small = cut(build(tmp_path, "sentence", unit="characters", size=400, overlap=0), text, format="markdown")
    large = cut(build(tmp_path, "sentence", unit="characters", size=400, overlap=0, least=200), text, format="markdown")
    assert min(map(len, small)) < 200 <= min(map(len, large))
    assert max(map(len, large)) <= 400


def test_one_sentence_per_chunk(tmp_path: Path) -> None:
    text = "# Title\n\nFirst one. Mr. Smith came second!\n\nThese are they:\n\n- item\n\n漢字。仮名。"
    assert cut(build(tmp_path, "sentence_window"), text, format="markdown") == [
        "# Title\n\nFirst one.", "Mr. Smith came second!", "These are they:\n\n- item", "漢字。", "仮名。",
    ]  # fmt: skip


def test_a_sentence_too_long_for_the_model_is_cut(tmp_path: Path) -> None:
    chunks = cut(build(tmp_path, "sentence_window", size=20), f"Short. {WORDS}. End.")
    assert chunks[0] == "Short."
    assert chunks[-1] == "End."
    assert " ".join(chunks[1:-1]) == f"{WORDS}."
    assert max(WordTokenizer().count(chunks)) <= 20


# semantic

TOPICS = {
    "cats": ("The cat purrs.", "A cat sleeps.", "Cats hunt mice."),
    "stars": ("A star shines.", "Stars burn gas.", "The star collapses."),
    "bread": ("Bread needs flour.", "Knead the bread.", "Bake bread hot."),
}


class TopicEmbedding(BaseEmbedding):
    """One axis per topic."""

    texts: list[str] = []  # noqa: RUF012 - pydantic copies it

    def _get_text_embedding(self, text: str) -> list[float]:
        self.texts.append(text)
        return [float(text.lower().count(stem)) for stem in ("cat", "star", "bread")]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


TOPIC_TEXT = " ".join(itertools.chain.from_iterable(TOPICS.values()))


def test_semantic_cuts_where_the_meaning_turns(tmp_path: Path) -> None:
    chunker = build(tmp_path, "semantic", embedding=TopicEmbedding(), around=0, percentile=70)
    assert cut(chunker, TOPIC_TEXT) == [" ".join(sentences) for sentences in TOPICS.values()]


def test_each_sentence_is_embedded_once_in_batches(tmp_path: Path) -> None:
    embedding = FakeEmbedding()
    cut(build(tmp_path, "semantic", embedding=embedding), "A sentence is here. " * 600)
    assert embedding.embedded == 600
    assert embedding.calls <= 24


def test_neighbours_are_embedded_with_each(tmp_path: Path) -> None:
    embedding = TopicEmbedding()
    cut(build(tmp_path, "semantic", embedding=embedding, around=1), "The cat. The star. The bread. The end.")
    assert embedding.texts == [
        "The cat. The star.",
        "The cat. The star. The bread.",
        "The star. The bread. The end.",
        "The bread. The end.",
    ]


@pytest.mark.parametrize(("percentile", "count"), [(0, 6), (50, 4), (100, 1)])
def test_a_higher_percentile_makes_larger_chunks(tmp_path: Path, percentile: float, count: int) -> None:
    text = "Cat one. Cat cat two. Star a bread. Bread cat. Star end. Bread."
    chunks = cut(build(tmp_path, "semantic", embedding=TopicEmbedding(), around=0, percentile=percentile), text)
    assert len(chunks) <= count if percentile < 100 else len(chunks) == 1


def test_semantic_chunks_have_at_least_a_length_and_fit(tmp_path: Path) -> None:
    text = " ".join(f"Sentence {n} is about thing {n % 7} alone." for n in range(100))
    chunks = cut(build(tmp_path, "semantic", percentile=10, least=30, size=60), text)
    counts = WordTokenizer().count(chunks)
    assert max(counts) <= 60
    assert min(counts[:-1]) >= 30 or min(counts) > 10
    assert len(cut(build(tmp_path, "semantic", percentile=10, size=60), text)) > len(chunks)


def test_one_sentence_needs_no_embedding(tmp_path: Path) -> None:
    embedding = FakeEmbedding()
    assert cut(build(tmp_path, "semantic", embedding=embedding), "Only one.") == ["Only one."]
    assert embedding.embedded == 0


BAD: list[tuple[Any, dict[str, Any]]] = [
    (SentenceOptions, {"size": 100, "least": 101}), (SentenceOptions, {"unit": "bytes"}), (RecursiveOptions, {"separators": []}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "said"), BAD)
def test_bad_options(options: Any, said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        options(**said)


def test_an_overlap_larger_than_what_the_model_reads_is_told(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"overlap \(32\) must be smaller than size \(24\)"):
        build(tmp_path, "recursive", tokenizer=WordTokenizer(max_tokens=60))
