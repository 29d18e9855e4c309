"""FAISS is what its capabilities say: compared one by one, through the graph, and with all that happens rarely made frequent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ragkit_faiss
from ragkit.testing import build_context
from ragkit.testing.conformance import VectorStoreSuite
from ragkit_faiss import FaissOptions


class TestFaiss(VectorStoreSuite):
    component = ragkit_faiss.ragkit_vector_stores()[0]


class TestFaissBusy(VectorStoreSuite):
    """A graph from the ninth row on, which grows at every fifth, and a new epoch when some rows are dead."""

    component = ragkit_faiss.ragkit_vector_stores()[0]

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        return {"index": "hnsw"}

    @classmethod
    def open_store(cls, folder: Path, collection: str, options: Mapping[str, Any]) -> Any:
        from ragkit_faiss.store import FaissStore
        from ragkit_faiss.writer import Limits

        context = build_context(folder, collection=collection)
        return FaissStore(context.folder, FaissOptions.model_validate(dict(options)), Limits(flat=0, tail=4, step=50))
