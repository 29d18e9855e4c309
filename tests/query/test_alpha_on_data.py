"""On real data, with the real model and stores: alpha at either end is one leg, and hybrid is better than both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ragkit import Pipeline

pytestmark = [pytest.mark.xdist_group("real data"), pytest.mark.timeout(600)]

QUESTIONS = 60


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XQuAD's English paragraphs as files, ingested."""
    folder = tmp_path_factory.mktemp("xquad")
    (folder / "docs").mkdir()
    for record in read(data / "xquad" / "en" / "corpus.jsonl"):
        (folder / "docs" / f"{record['_id']}.md").write_text(record["text"], encoding="utf-8")
    (folder / "ragkit.yaml").write_text("sources: [{use: files, path: docs}]\n", encoding="utf-8")
    with Pipeline.from_yaml(folder / "ragkit.yaml") as pipeline:
        assert not pipeline.ingest().failures
    return folder


@pytest.fixture(scope="module")
def pipelines(folder: Path) -> Iterator[dict[str, Pipeline]]:
    opened = {
        name: Pipeline.from_yaml(folder / "ragkit.yaml", overrides=[f"retriever={name}", "top_k=20"])
        for name in ("dense", "keyword", "hybrid")
    }
    yield opened
    for pipeline in opened.values():
        pipeline.close()


@pytest.fixture(scope="module")
def questions(data: Path) -> list[str]:
    return [record["text"] for record in read(data / "xquad" / "en" / "queries.jsonl")[:: 1190 // QUESTIONS]]


@pytest.mark.parametrize(("alpha", "alone"), [(1.0, "dense"), (0.0, "keyword")])
def test_alpha_at_either_end_ranks_as_one_leg_does(pipelines, questions, alpha, alone):
    for question in questions:
        fused = pipelines["hybrid"].search(question, alpha=alpha)
        expected = pipelines[alone].search(question)
        assert [hit.chunk_id for hit in fused.hits] == [hit.chunk_id for hit in expected.hits]


def test_every_hit_has_a_score_from_both_legs(pipelines, questions):
    for question in questions:
        found = pipelines["hybrid"].search(question)
        assert not found.trace.degraded
        assert all(set(hit.scores) == {"dense", "keyword", "fused"} for hit in found.hits)


def test_quotes_stand_in_the_documents(folder, pipelines, questions):
    cited = 0
    for question in questions:
        for citation in pipelines["hybrid"].ask(question).citations:
            text = (folder / "docs" / citation.uri).read_text(encoding="utf-8")
            assert text[citation.start : citation.end] == citation.quote
            cited += 1
    assert cited > QUESTIONS
