"""Qdrant is what its capabilities say: the folder, the engine in the process, and a server over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from qdrant_server import QdrantServer

import ragkit_qdrant
from ragkit.testing.conformance import VectorStoreSuite

QDRANT, EDGE = ragkit_qdrant.ragkit_vector_stores()


@pytest.fixture(scope="module")
def server() -> Iterator[QdrantServer]:
    with QdrantServer(key="conformance") as server:
        yield server
        assert server.violations == []


class TestQdrantLocal(VectorStoreSuite):
    component = QDRANT


class TestQdrantEdge(VectorStoreSuite):
    component = EDGE


class TestQdrantServer(VectorStoreSuite):
    component = QDRANT
    sample_options: ClassVar = {"url": "http://localhost:6333"}

    @pytest.fixture
    def options(self, server: QdrantServer) -> dict[str, Any]:
        return {"url": server.url, "api_key": "conformance"}
