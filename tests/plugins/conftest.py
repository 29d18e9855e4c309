"""What the tests of the plugins share: nodes, questions and a context for a component under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import forking
import pytest

from ragkit.testing import FakeContext, FakeEmbedding, build_context


@pytest.fixture(scope="session", autouse=True)
def preloaded() -> None:
    """The suites' other processes are forked from what has imported most already."""
    forking.context()


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    return build_context(tmp_path / "component")


@pytest.fixture
def node() -> Callable[..., Any]:
    """Make a node: `node("id", "text", document="d", year=2020)`; its vector is that of its text unless it is given."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    embedding = FakeEmbedding(dim=16)

    def make(id_: str, text: str = "", *, vector: list[float] | None = None, document: str = "d", **metadata: Any) -> TextNode:
        return TextNode(
            id_=id_,
            text=text,
            embedding=embedding.vector(text) if vector is None else vector,
            metadata=metadata,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
        )

    return make


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Make a query: `ask([0.1, …], 5, filters=…)` or `ask("words", 5)`."""
    from llama_index.core.vector_stores.types import VectorStoreQuery

    def make(question: list[float] | str, k: int = 10, **fields: Any) -> VectorStoreQuery:
        key = "query_str" if isinstance(question, str) else "query_embedding"
        return VectorStoreQuery(similarity_top_k=k, **{key: question}, **fields)

    return make
