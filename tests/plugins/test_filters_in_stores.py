"""Filters mean the same in every store: each is asked for what `ragkit.filters.matches` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ragkit_bm25
import ragkit_chroma
from ragkit.filters import matches
from ragkit.testing import MemoryKeywordStore, MemoryVectorStore, build_context

METADATA: dict[str, dict[str, Any]] = {
    "a": {"year": 2019, "kind": "post", "tags": ["red", "blue"], "draft": False, "when": "2019-05-01"},
    "b": {"year": 2020, "kind": "article", "tags": ["red"], "draft": True, "when": "2020-01-31"},
    "c": {"year": 2021.5, "kind": "Article", "rank": 1},
    "d": {"year": "2020", "kind": "post", "rank": 0, "when": "2021"},
    "e": {"kind": "a long note on articles", "numbers": [1, 2]},
    "f": {},
}
ONES: list[tuple[str, str, Any]] = [
    ("year", "==", 2020), ("year", "!=", 2020), ("year", ">", 2019), ("year", ">=", 2019), ("year", "<", 2021.5),
    ("year", "<=", 2021.5), ("year", "==", "2020"), ("kind", "in", ["post", "article"]), ("kind", "nin", ["post"]),
    ("rank", "==", 1), ("rank", "!=", 0), ("draft", "==", 1), ("draft", "!=", 1), ("rank", "in", [0, 1]), ("draft", ">", 0),
    ("tags", "contains", "red"), ("kind", "contains", "article"), ("numbers", "contains", 2), ("tags", "any", ["blue", "x"]),
    ("tags", "all", ["red", "blue"]), ("kind", "text_match", "rticle"), ("kind", "text_match_insensitive", "ARTICLE"),
    ("tags", "is_empty", None), ("missing", "!=", "x"), ("missing", "==", "x"), ("when", ">", "2020"), ("tags", "==", "red"),
    ("year", "in", [2019, 2021.5]), ("kind", "in", []), ("year", "==", None),
]  # fmt: skip


def filters() -> list[Any]:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    def one(key: str, operator: str, value: Any) -> MetadataFilter:
        return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)

    made = [MetadataFilters(filters=[one(*part)]) for part in ONES]
    year, kind, tag = one("year", ">=", 2019), one("kind", "==", "post"), one("tags", "contains", "red")
    made += [MetadataFilters(filters=[year, kind, tag], condition=condition) for condition in ("and", "or", "not")]
    made.append(MetadataFilters(filters=[kind, one("rank", "in", [0, 5])], condition="not"))
    inner = MetadataFilters(filters=[kind, one("year", "<", 2020)], condition="or")
    made += [MetadataFilters(filters=[inner, one("draft", "!=", 1)]), MetadataFilters(filters=[inner, tag], condition="not")]
    made += [MetadataFilters(filters=[MetadataFilters(filters=[inner], condition="not"), year]), MetadataFilters(filters=[])]
    return made


def stores(folder: Path) -> dict[str, Any]:
    return {
        "chroma": ragkit_chroma.build(ragkit_chroma.ChromaOptions(), build_context(folder / "chroma")),
        "bm25": ragkit_bm25.build_store(ragkit_bm25.BM25Options(), build_context(folder / "bm25")),
        "memory vectors": MemoryVectorStore(),
        "memory keywords": MemoryKeywordStore(),
    }


@pytest.mark.parametrize("name", ["chroma", "bm25", "memory vectors", "memory keywords"])
def test_every_filter_lets_the_same_chunks_pass(name: str, tmp_path: Path, node: Any, ask: Any) -> None:
    store = stores(tmp_path)[name]
    store.upsert([node(id_, f"common {id_}", **metadata) for id_, metadata in METADATA.items()])
    getattr(store, "flush", lambda: None)()
    question = [1.0] * 16 if store.is_embedding_query else "common"
    for wanted in filters():
        expected = {id_ for id_, metadata in METADATA.items() if matches(wanted, metadata)}
        found = store.search_ids(ask(question, 10, filters=wanted))[0]
        assert set(found) == expected, wanted
        assert set(store.search_ids(ask(question, 1, filters=wanted))[0]) <= expected, wanted


@pytest.mark.parametrize("name", ["chroma", "bm25"])
def test_a_filter_that_few_chunks_pass_still_fills_top_k(name: str, tmp_path: Path, node: Any, ask: Any) -> None:
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

    store = stores(tmp_path)[name]
    store.upsert([node(f"n{i:03}", f"common word{i}", name=f"group {i % 100}") for i in range(400)])
    getattr(store, "flush", lambda: None)()
    rare = MetadataFilters(filters=[MetadataFilter(key="name", value="up 77", operator=FilterOperator.TEXT_MATCH)])
    question = [1.0] * 16 if store.is_embedding_query else "common"
    assert sorted(store.search_ids(ask(question, 3, filters=rare))[0]) <= ["n077", "n177", "n277", "n377"]
    assert len(store.search_ids(ask(question, 3, filters=rare))[0]) == 3


@pytest.mark.parametrize("name", ["chroma", "bm25", "memory vectors", "memory keywords"])
def test_deleting_by_filter(name: str, tmp_path: Path, node: Any) -> None:
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

    store = stores(tmp_path)[name]
    store.upsert([node(id_, f"common {id_}", **metadata) for id_, metadata in METADATA.items()])
    getattr(store, "flush", lambda: None)()
    store.delete_nodes(None, MetadataFilters(filters=[MetadataFilter(key="kind", value="post")]))
    getattr(store, "flush", lambda: None)()
    assert sorted(store.ids()) == ["b", "c", "e", "f"]
