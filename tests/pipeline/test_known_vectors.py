"""Candidates get their dense score from the embedding cache where the store is slower, and the same from either."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, texts

from ragkit import Pipeline
from ragkit.query.search import SearchResult
from ragkit_chroma.store import ChromaStore

MORE = """\
vector_store: chroma
retriever: {use: hybrid, depth: 4}
"""
QUESTION = "How many bridges has the river number 7?"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path, more=MORE)
    for number, text in enumerate([*texts(20), *texts(20, "sea")]):
        made.write(f"page{number}.md", text)
    made.ingest()
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The ids of which Chroma was asked for the vectors."""
    seen: list[list[str]] = []
    vectors = ChromaStore.vectors

    def spy(self: ChromaStore, ids: Any) -> Any:
        seen.append(list(ids))
        return vectors(self, ids)

    monkeypatch.setattr(ChromaStore, "vectors", spy)
    return seen


@pytest.fixture
def pipeline(project: Project) -> Iterator[Pipeline]:
    with project.open() as opened:
        yield opened


def scores(found: SearchResult) -> dict[str, float]:
    return {hit.text: hit.scores["dense"] for hit in found.hits}


def test_the_store_is_not_asked_for_what_the_cache_has(pipeline: Pipeline, asked: list[list[str]]) -> None:
    found = pipeline.search(QUESTION, k=4, alpha=0.2)
    completed = [hit for hit in found.hits if "dense" not in hit.ranks]
    assert completed, "some hits are the keyword store's alone"
    assert all("dense" in hit.scores for hit in found.hits)
    assert asked == []


def test_without_the_cache_the_store_gives_the_same_scores(project: Project, asked: list[list[str]]) -> None:
    with project.open() as pipeline:
        known = scores(pipeline.search(QUESTION, k=4, alpha=0.2))
    (project.folder / ".ragkit" / "embeddings.db").unlink()
    with project.open() as pipeline:
        found = pipeline.search(QUESTION, k=4, alpha=0.2)
    assert scores(found) == pytest.approx(known, abs=1e-6)
    assert len(asked) == 1
    assert not found.trace.degraded


def test_a_chunk_that_changes_gets_its_new_vector(project: Project, asked: list[list[str]]) -> None:
    with project.open() as pipeline:
        before = scores(pipeline.search(QUESTION, k=4, alpha=0.2))
        for page in project.docs.iterdir():  # the title stands before the text in what is embedded
            page.write_text(page.read_text().replace("# ", "# Bridges of "))
        pipeline.ingest()
        found = pipeline.search(QUESTION, k=4, alpha=0.2)
    fresh = scores(found)
    assert asked == []
    (project.folder / ".ragkit" / "embeddings.db").unlink()
    with project.open() as pipeline:
        assert scores(pipeline.search(QUESTION, k=4, alpha=0.2)) == pytest.approx(fresh, abs=1e-6), "as the store has them"
    assert fresh != pytest.approx(before)
