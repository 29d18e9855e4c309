"""A realistic corpus, FastAPI's documentation: what a second run and small edits cost, counted in the model's own tokens."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from projects import Project

import ragkit_huggingface
from ragkit import Component, hookimpl
from ragkit.testing import FakeEmbedding

CONFIG = """\
name: fastapi
sources: [{use: files, name: docs, path: docs, include: ["**/*.md"]}]
embedding: quick
"""


@hookimpl
def ragkit_embeddings() -> list[Component]:
    """The bundled model's tokenizer and limit, without the time that its vectors take."""
    (real,) = ragkit_huggingface.ragkit_embeddings()
    return [replace(real, name="quick", build=lambda options, context: FakeEmbedding(dim=32), identity=None)]


QUICK = SimpleNamespace(ragkit_embeddings=ragkit_embeddings)


@pytest.fixture(scope="module")
def corpus(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("fastapi") / "project")
    project.docs.rmdir()
    shutil.copytree(data / "fastapi_docs", project.docs)
    project.config.write_text(CONFIG)
    report = project.ingest(QUICK)
    assert report.exit_status == 0
    assert report.documents["added"] > 100
    assert report.chunks["truncated"] == 0
    return project


def test_the_second_run_embeds_nothing_and_is_quick(corpus: Project) -> None:
    report = corpus.ingest(QUICK)
    assert (report.embedded, report.cache_hits, report.documents["unchanged"]) == (0, 0, report.documents["unchanged"])
    assert report.documents["unchanged"] > 100
    assert report.seconds < 3


def test_the_ledger_is_at_most_two_and_a_half_times_the_text(corpus: Project) -> None:
    text = sum(path.stat().st_size for path in corpus.docs.rglob("*.md"))
    ledger = sum(path.stat().st_size for path in (corpus.folder / ".ragkit").glob("ledger.db*"))
    assert ledger <= 2.5 * text, f"{ledger / text:.2f}"


@pytest.mark.timeout(240)
def test_a_sentence_at_the_top_of_a_page_embeds_few_chunks(corpus: Project) -> None:
    """Over the 30 longest pages: median at most 2, 95th percentile at most 6 chunks embedded."""
    pages = sorted(corpus.docs.rglob("*.md"), key=lambda path: path.stat().st_size)[-30:]
    embedded = []
    with corpus.open(QUICK) as pipeline:
        for page in pages:
            page.write_text("This page was reviewed by the documentation team last week.\n\n" + page.read_text())
            report = pipeline.ingest()
            assert report.documents["updated"] == 1
            embedded.append(report.embedded)
        assert all(result.sound for result in pipeline.verify_views())
    assert min(embedded) >= 1
    assert statistics.median(embedded) <= 2, sorted(embedded)
    assert sorted(embedded)[int(0.95 * len(embedded))] <= 6, sorted(embedded)


def test_a_deleted_page_is_gone_from_both_stores(corpus: Project) -> None:
    page = corpus.docs / "async.md"
    with corpus.open(QUICK) as pipeline:
        held = {hit.chunk_id for hit in pipeline.search("concurrency and burgers", k=100).hits if hit.uri == "async.md"}
        assert held
        page.unlink()
        assert pipeline.ingest().documents["removed"] == 1
        assert all(result.sound for result in pipeline.verify_views())
        assert not held & {hit.chunk_id for hit in pipeline.search("concurrency and burgers", k=100).hits}
