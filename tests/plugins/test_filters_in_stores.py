"""Filters choose what to delete, too; what they mean in a search is tested by the conformance suites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ragkit_bm25
import ragkit_chroma
from ragkit.testing import MemoryKeywordStore, MemoryVectorStore, build_context

KINDS = {"a": "post", "b": "article", "c": "Post", "d": "post", "e": "a post", "f": None}


def stores(folder: Path) -> dict[str, Any]:
    return {
        "chroma": ragkit_chroma.build(ragkit_chroma.ChromaOptions(), build_context(folder / "chroma")),
        "bm25": ragkit_bm25.build_store(ragkit_bm25.BM25Options(), build_context(folder / "bm25")),
        "memory vectors": MemoryVectorStore(),
        "memory keywords": MemoryKeywordStore(),
    }


@pytest.mark.parametrize("name", ["chroma", "bm25", "memory vectors", "memory keywords"])
def test_deleting_by_filter(name: str, tmp_path: Path, node: Any) -> None:
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

    store = stores(tmp_path)[name]
    store.upsert([node(id_, f"common {id_}", kind=kind) for id_, kind in KINDS.items()])
    getattr(store, "flush", lambda: None)()
    store.delete_nodes(None, MetadataFilters(filters=[MetadataFilter(key="kind", value="post")]))
    getattr(store, "flush", lambda: None)()
    assert sorted(store.ids()) == ["b", "c", "e", "f"]
