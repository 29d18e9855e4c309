"""LlamaIndex's own BM25 as a retriever: over the live chunks, without hits of score 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ragkit_bm25
from ragkit.testing import build_context
from ragkit_bm25 import LlamaIndexBM25Options


@pytest.mark.parametrize("language", ["en", "none"])
def test_returns_only_what_has_a_term_of_the_question(language: Any, tmp_path: Path, node: Any) -> None:
    chunks = [node("a", "red fish"), node("b", "blue bird"), node("c", "green frog")]
    retriever = ragkit_bm25.build_retriever(LlamaIndexBM25Options(language=language), build_context(tmp_path, chunks=chunks))
    hits = retriever.retrieve("a fish or a bird")
    assert sorted(hit.node.node_id for hit in hits) == ["a", "b"]
    assert all(hit.score > 0 for hit in hits)
    assert [hit.node.get_content() for hit in retriever.retrieve("fish")] == ["red fish"]
    assert retriever.retrieve("zebra") == []
    assert retriever.retrieve("") == []


def test_returns_at_most_the_candidates(tmp_path: Path, node: Any) -> None:
    chunks = [node(f"n{i}", f"fish number{i}") for i in range(10)]
    retriever = ragkit_bm25.build_retriever(LlamaIndexBM25Options(candidates=4), build_context(tmp_path, chunks=chunks))
    assert len(retriever.retrieve("fish")) == 4


def test_finds_nothing_among_no_chunks(tmp_path: Path) -> None:
    assert ragkit_bm25.build_retriever(LlamaIndexBM25Options(), build_context(tmp_path)).retrieve("fish") == []
