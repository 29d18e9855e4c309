"""Small indexes with the fakes, and datasets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ragkit import Pipeline
from ragkit.host import Host
from ragkit.testing import plugin

Beir = Callable[..., Path]
Open = Callable[..., Pipeline]


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in records), encoding="utf-8")
    return path


@pytest.fixture
def beir(tmp_path: Path) -> Beir:
    """A BEIR folder: documents, query texts by id, grades by query and document."""

    def make(documents: Sequence[Mapping[str, Any]], queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]) -> Path:
        folder = tmp_path / "ponds"
        write_lines(folder / "corpus.jsonl", documents)
        write_lines(folder / "queries.jsonl", [{"_id": key, "text": text} for key, text in queries.items()])
        rows = [f"{query}\t{item}\t{grade}" for query, items in qrels.items() for item, grade in items.items()]
        (folder / "qrels").mkdir(exist_ok=True)
        (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows, ""]), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def open_index(tmp_path: Path) -> Open:
    """An ingested pipeline over a corpus in JSONL, or over the given sources."""

    def make(corpus: Path | None = None, more: str = "", sources: str = "") -> Pipeline:
        file = tmp_path / "ragkit.yaml"
        listed = sources or f"[{{use: jsonl, name: corpus, path: {json.dumps(str(corpus))}}}]"
        file.write_text(
            f"name: ponds\nsources: {listed}\nembedding: fake\nvector_store: memory\nkeyword_store: memory\n"
            f"chunker: {{use: sentence, size: 20, overlap: 0}}\n{more}\n"
        )
        pipeline = Pipeline.from_yaml(file, host=Host(plugins=[plugin]))
        assert pipeline.ingest().exit_status == 0
        return pipeline

    return make
