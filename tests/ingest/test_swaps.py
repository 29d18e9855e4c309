"""One word in the YAML changes the store: nothing is read or embedded again, and the answers are the same.

SciFact's chunks under the default model go from store to store, each filled from the ledger and the embedding cache alone, and
each is asked a hundred claims, whose ten best have to be those of an exact search in NumPy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backends import EMBEDDED, Servers

from ragkit.pipeline import Pipeline

pytestmark = [pytest.mark.timeout(600)]

ABSTRACTS, CLAIMS, TOP = 480, 100, 10
"""So many abstracts give about a thousand chunks."""
APPROXIMATE = ("chroma", "chroma server", "pgvector")
"""Stores that search a graph also among a thousand vectors."""
TIES = 1
"""Rounding to 32 bits may exchange a tenth hit for its equal."""


@dataclass
class Moving:
    """A project whose stores change, and what an exact search finds in it."""

    config: Path
    servers: Servers
    claims: Sequence[str]
    ids: Sequence[str] = ()
    scores: Any = None

    def use(self, vector_store: dict[str, Any], keyword_store: str = "bm25") -> None:
        corpus = json.dumps(str(self.config.parent / "corpus.jsonl"))
        lines = (
            "name: swaps", f"sources: [{{use: jsonl, path: {corpus}}}]", f"vector_store: {json.dumps(vector_store)}",
            f"keyword_store: {keyword_store}", "retriever: dense", f"top_k: {TOP}",
        )  # fmt: skip
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def open(self) -> Pipeline:
        return Pipeline.from_yaml(self.config)

    def search_exactly(self) -> None:
        """The similarity of every claim to every chunk, from the vectors as the model gives them."""
        with self.open() as pipeline, pipeline._index.reading() as opened:
            chunks = list(opened.reader.all())
            vectors = opened.vector.store.vectors([chunk.id for chunk in chunks])
            assert vectors is not None
            claims = [pipeline._index.wiring.embedding.get_query_embedding(claim) for claim in self.claims]
        self.ids = [chunk.id for chunk in chunks]
        rows = np.array([vectors[item] for item in self.ids], dtype=np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        asked = np.array(claims, dtype=np.float64)
        self.scores = asked @ rows.T / np.linalg.norm(asked, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="module")
def moving(data: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Moving:
    folder = tmp_path_factory.mktemp("swaps")
    with (data / "scifact" / "corpus.jsonl").open(encoding="utf-8") as corpus:
        (folder / "corpus.jsonl").write_text("".join(line for line, _ in zip(corpus, range(ABSTRACTS), strict=False)))
    with (data / "scifact" / "queries.jsonl").open(encoding="utf-8") as queries:
        claims = [json.loads(line)["text"] for line, _ in zip(queries, range(CLAIMS), strict=False)]
    moving = Moving(folder / "ragkit.yaml", servers, claims)
    moving.use({"use": "memory"})
    with moving.open() as pipeline:
        report = pipeline.ingest()
    assert report.embedded == report.chunks["total"] >= 900
    moving.search_exactly()
    (folder / "corpus.jsonl").rename(folder / "moved.jsonl")  # from here on no source can be read
    return moving


def test_the_answers_are_those_of_an_exact_search(moving: Moving) -> None:
    """One test, so that the chunks are embedded once, however the tests are shared out."""
    for store in (*EMBEDDED, *Servers.NAMES):
        answers_exactly(moving, store)
    for store in ("tantivy", "bm25"):
        answers_by_words(moving, store)


def answers_exactly(moving: Moving, store: str) -> None:
    moving.use(moving.servers.yaml(store))
    with moving.open() as pipeline:
        report = pipeline.ingest(views_only=True)
        assert (report.embedded, report.chunks["added"], report.chunks["removed"]) == (0, 0, 0), store
        assert report.exit_status == 0
        assert all(view.sound for view in pipeline.verify_views()), pipeline.verify_views()
        found = 0
        for claim, scores in zip(moving.claims, moving.scores, strict=True):
            exact = dict(zip(moving.ids, scores, strict=True))
            best = sorted(exact, key=lambda item: (-exact[item], item))[:TOP]
            hits = pipeline.search(claim).hits
            assert len(hits) == TOP
            assert [hit.scores["dense"] for hit in hits] == pytest.approx([exact[hit.chunk_id] for hit in hits], abs=1e-3)
            found += len({hit.chunk_id for hit in hits} & set(best))
    assert found >= (0.95 if store in APPROXIMATE else 1.0) * TOP * CLAIMS - TIES, store


def answers_by_words(moving: Moving, store: str) -> None:
    """From `bm25` and back to it: the vector view is shared, the chunks stay."""
    moving.use({"use": "memory"}, keyword_store=store)
    with moving.open() as pipeline:
        report = pipeline.ingest(views_only=True)
        assert (report.embedded, report.chunks["added"], report.chunks["removed"]) == (0, 0, 0), store
        assert all(view.sound for view in pipeline.verify_views())
        generation = pipeline.status().generation
    with Pipeline.from_yaml(moving.config, overrides=["retriever=keyword"]) as pipeline:
        for claim in moving.claims[:20]:
            hits = pipeline.search(claim).hits
            assert len(hits) == TOP
            assert hits[0].scores["keyword"] > 0
            assert pipeline.status().generation == generation
