"""Searching: retriever, rerankers, hits."""

from __future__ import annotations

import json
import math

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, TextNode

from ragkit.builtin.retrievers import HybridOptions, build_dense, build_hybrid
from ragkit.errors import QueryError
from ragkit.query.filter_language import parse_filter
from ragkit.query.search import Searcher


class Reranker(BaseNodePostprocessor):
    mode: str = "reverse"
    seen: list[int] = []  # noqa: RUF012 - pydantic copies it

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self.seen.append(len(nodes))
        if self.mode == "raise":
            raise ConnectionError("the model is away")
        for rank, item in enumerate(nodes):
            item.score = math.nan if self.mode == "nan" else float(rank)
        return sorted(nodes, key=lambda item: -item.score)


@pytest.fixture
def searcher(index):
    return Searcher(index.reader, build_hybrid(HybridOptions(), index), (), index.top_k)


def test_the_dictionary_is_the_documented_json(index, searcher):
    found = searcher.search("ledger documents").to_dict()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"query", "hits", "trace"}
    hit = found["hits"][0]
    assert set(hit) == {
        "rank", "chunk_id", "document_id", "source", "uri", "text", "score", "scores", "ranks", "metadata",
    }  # fmt: skip
    assert (hit["rank"], hit["source"], hit["uri"]) == (1, "docs", "page5.md")
    assert set(hit["scores"]) == {"dense", "keyword", "fused"}
    assert hit["ranks"]["fused"] == 1
    assert hit["metadata"] == {"year": 2020, "tags": ["a", "b"], "title": "Page 5"}
    assert found["trace"]["generation"] == 3


def test_k_and_filters(searcher):
    assert len(searcher.search("ledger documents", k=2).nodes) == 2
    hits = searcher.search("ledger documents", filters=parse_filter("year = 2016")).hits
    assert [hit.metadata["year"] for hit in hits] == [2016]
    with pytest.raises(QueryError):
        searcher.search("ledger", k=0)


def test_an_unknown_setting_is_refused(index, searcher):
    assert searcher.search("ledger", settings={"alpha": 0.5}).hits
    assert searcher.search("ledger", settings={"alpha": None, "other": None}).hits
    with pytest.raises(QueryError, match=r"'alhpa' is not known(.|\n)*takes: alpha"):
        searcher.search("ledger", settings={"alhpa": 0.5})
    with pytest.raises(QueryError, match="takes no settings"):
        Searcher(index.reader, build_dense(None, index), (), 5).search("ledger", settings={"alpha": 0.5})


def test_a_node_is_a_llamaindex_node_with_its_document(index, searcher):
    node = searcher.search("ledger documents").nodes[0].node
    document = index.reader.documents[node.ref_doc_id]
    assert document.text[node.start_char_idx : node.end_char_idx] == node.get_content()
    assert node.relationships[NodeRelationship.SOURCE].node_id == document.id


def test_a_reranker_orders_and_gets_more_candidates(make_index):
    index = make_index([f"shared words and number{n}" for n in range(80)])
    reranker = Reranker(seen=[])
    plain = Searcher(index.reader, build_dense(None, index), (), 50).search("shared words")
    found = Searcher(index.reader, build_dense(None, index), [("mine", reranker)], 5).search("shared words")
    assert reranker.seen == [50]
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in plain.hits[::-1][:5]]
    assert found.hits[0].ranks["mine"] == 1
    assert found.hits[0].score == found.hits[0].scores["mine"] == 49.0


@pytest.mark.parametrize("mode", ["raise", "nan"])
def test_a_reranker_that_fails_leaves_the_order(index, mode):
    plain = Searcher(index.reader, build_dense(None, index), (), 5).search("ledger documents")
    found = Searcher(index.reader, build_dense(None, index), [("mine", Reranker(mode=mode))], 5).search("ledger documents")
    assert [(hit.chunk_id, hit.score) for hit in found.hits] == [(hit.chunk_id, hit.score) for hit in plain.hits]
    (record,) = [stage for stage in found.trace.stages if stage.name == "mine"]
    assert record.status == "degraded"
    assert found.trace.degraded


class Foreign(BaseRetriever):
    def __init__(self, ids):
        super().__init__()
        self.ids = ids

    def _retrieve(self, query_bundle):
        return [NodeWithScore(node=TextNode(id_=item, text="their own text"), score=2.0) for item in self.ids]


def test_a_foreign_retrievers_nodes_come_from_the_ledger(index):
    index.reader.deleted.add(index.id(1))
    retriever = Foreign([index.id(0), "unknown", index.id(1), index.id(2)])
    found = Searcher(index.reader, retriever, (), 5).search("x", filters=parse_filter("year < 2017"))
    assert [hit.text for hit in found.hits] == [index.reader.records[index.id(0)].text]
    assert found.hits[0].scores == {"retriever": 2.0}
    assert "2 of its hits are unknown or deleted" in found.trace.stages[-1].detail


async def test_the_async_twin_gives_the_same(searcher):
    found = await searcher.asearch("ledger documents", k=3)
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in searcher.search("ledger documents", k=3).hits]


@pytest.mark.parametrize("text", ["🦊🦊🦊", "the of and", "?!"])
def test_questions_without_words_have_a_defined_result(searcher, text):
    found = searcher.search(text)
    assert len(found.hits) == 5
    assert found.trace.degraded
