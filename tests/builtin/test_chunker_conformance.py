"""The built-in chunkers under their conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from ragkit.builtin import chunkers, nested, structure
from ragkit.components import Component, Kind, Spec, Tokenizer
from ragkit.testing.conformance import ChunkerSuite
from ragkit.words import WordTokenizer, counting

OFFERED: dict[str, Component] = {
    component.name: component for module in (chunkers, structure, nested) for component in module.ragkit_chunkers()
}


def spec(name: str, **options: Any) -> Spec:
    """A nested chunker."""
    return Spec(Kind.CHUNKER, OFFERED[name], OFFERED[name].options.model_validate(options), name)


class TestSentence(ChunkerSuite):
    component = OFFERED["sentence"]


class TestSentenceInCharacters(ChunkerSuite):
    component = OFFERED["sentence"]

    sample_options: ClassVar[Mapping[str, Any]] = {"unit": "characters", "size": 2_000, "least": 300, "overlap": 100}


class TestSentenceOfAModel(ChunkerSuite):
    component = OFFERED["sentence"]

    @pytest.fixture
    def tokenizer(self, wordpiece: Any) -> Tokenizer:
        return counting(wordpiece)


class TestToken(ChunkerSuite):
    component = OFFERED["token"]


class TestRecursive(ChunkerSuite):
    component = OFFERED["recursive"]


class TestRecursiveInCharacters(ChunkerSuite):
    component = OFFERED["recursive"]

    sample_options: ClassVar[Mapping[str, Any]] = {"unit": "characters", "size": 120, "overlap": 30, "separators": ["\n", ""]}


class TestSentenceWindow(ChunkerSuite):
    component = OFFERED["sentence_window"]


class TestSemantic(ChunkerSuite):
    component = OFFERED["semantic"]


class TestSemanticWithLeast(ChunkerSuite):
    component = OFFERED["semantic"]

    sample_options: ClassVar[Mapping[str, Any]] = {"least": 20, "percentile": 50, "around": 0, "size": 40}


class TestMarkdown(ChunkerSuite):
    component = OFFERED["markdown"]


class TestMarkdownOfAModel(ChunkerSuite):
    component = OFFERED["markdown"]

    sample_options: ClassVar[Mapping[str, Any]] = {"size": 48, "overlap": 8}

    @pytest.fixture
    def tokenizer(self, bytepairs: Any) -> Tokenizer:
        return counting(bytepairs)


class TestHtml(ChunkerSuite):
    component = OFFERED["html"]


class TestCode(ChunkerSuite):
    component = OFFERED["code"]


class TestSmallCode(ChunkerSuite):
    component = OFFERED["code"]

    sample_options: ClassVar[Mapping[str, Any]] = {"size": 16, "overlap": 6}


class TestHierarchical(ChunkerSuite):
    component = OFFERED["hierarchical"]


class TestHierarchicalOfOthers(ChunkerSuite):
    component = OFFERED["hierarchical"]

    sample_options: ClassVar[Mapping[str, Any]] = {
        "parent": spec("token", size=90, overlap=20), "leaf": spec("recursive", size=30, overlap=5),
        "size": 20, "parent_size": 90,
    }  # fmt: skip
    most_overlap = 5


class TestTwoStage(ChunkerSuite):
    component = OFFERED["two_stage"]


class TestTwoStageOverWindows(ChunkerSuite):
    component = OFFERED["two_stage"]

    sample_options: ClassVar[Mapping[str, Any]] = {"structure": spec("token", size=80, overlap=20), "size": 30, "overlap": 10}
    most_overlap = 20


class TestByCategory(ChunkerSuite):
    component = OFFERED["by_category"]
    most_overlap = 32


class TestByCategoryOfOthers(ChunkerSuite):
    component = OFFERED["by_category"]

    sample_options: ClassVar[Mapping[str, Any]] = {
        "categories": {"post": spec("sentence_window"), "repository": spec("recursive", overlap=4)},
        "default": spec("semantic"),
    }


class TestAdaptive(ChunkerSuite):
    component = OFFERED["adaptive"]
    most_overlap = 60

    @pytest.fixture
    def tokenizer(self) -> Tokenizer:
        return WordTokenizer(max_tokens=200, special_tokens=2)
