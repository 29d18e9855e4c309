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
from ragkit.filters import as_llama
from ragkit.query.reranking import RerankStage
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
    hits = searcher.search("ledger documents", filters=as_llama("year = 2016")).hits
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
    document = index.reader.pages[node.ref_doc_id]
    assert document.text[node.start_char_idx : node.end_char_idx] == node.get_content()
    assert node.relationships[NodeRelationship.SOURCE].node_id == document.id


def test_a_reranker_orders_and_gets_more_candidates(make_index):
    index = make_index([f"shared words and number{n}" for n in range(80)])
    reranker = Reranker(seen=[])
    plain = Searcher(index.reader, build_dense(None, index), (), 50).search("shared words")
    found = Searcher(index.reader, build_dense(None, index), [RerankStage("mine", reranker)], 5).search("shared words")
    assert reranker.seen == [50]
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in plain.hits[::-1][:5]]
    assert found.hits[0].ranks["mine"] == 1
    assert found.hits[0].score == found.hits[0].scores["mine"] == 49.0


@pytest.mark.parametrize("mode", ["raise", "nan"])
def test_a_reranker_that_fails_leaves_the_order(index, mode):
    plain = Searcher(index.reader, build_dense(None, index), (), 5).search("ledger documents")
    found = Searcher(index.reader, build_dense(None, index), [RerankStage("mine", Reranker(mode=mode))], 5).search(
        "ledger documents"
    )
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
    found = Searcher(index.reader, retriever, (), 5).search("x", filters=as_llama("year < 2017"))
    assert [hit.text for hit in found.hits] == [index.reader.records[index.id(0)].text]
    assert found.hits[0].scores == {"retriever": 2.0}
    assert "2 of its hits are unknown or deleted" in found.trace.stages[-1].detail


def test_a_retriever_that_cannot_filter_says_what_it_lost(index):
    retriever = Foreign([index.id(0), index.id(1), index.id(2)])
    found = Searcher(index.reader, retriever, (), 2).search("x", filters="year < 2017")
    assert (len(found.hits), found.trace.degraded) == (2, False)
    assert found.trace.stages[-1].detail == "it does not filter: 1 of its 3 hits do not satisfy the filter"
    found = Searcher(index.reader, retriever, (), 3).search("x", filters="year < 2017")
    assert (len(found.hits), found.trace.degraded) == (2, True)
    assert "were not looked at" in found.trace.stages[-1].detail


class Deaf(Foreign):
    """Hydrates, and pays no heed to the filter."""

    def __init__(self, ids, index):
        super().__init__(ids)
        self.index = index

    def _retrieve(self, query_bundle):
        return self.index.hydrate(self.ids, [1.0] * len(self.ids))


class Adding(BaseNodePostprocessor):
    more: list = []  # noqa: RUF012 - pydantic copies it

    def _postprocess_nodes(self, nodes, query_bundle=None):
        return [*nodes, *self.more]


def test_no_hit_gets_past_the_filter(index):
    ids = [index.id(number) for number in range(4)]
    found = Searcher(index.reader, Deaf(ids, index), (), 5).search("x", filters="year < 2017")
    assert [hit.metadata["year"] for hit in found.hits] == [2015, 2016]
    assert "it does not filter" in found.trace.stages[-1].detail
    adding = Adding(more=index.hydrate([index.id(1), index.id(5)], [0.5, 0.4]))
    found = Searcher(index.reader, Deaf(ids[:1], index), [RerankStage("adding", adding)], 5).search("x", filters="year < 2017")
    assert [hit.metadata["year"] for hit in found.hits] == [2015, 2016]
    assert "1 that it added do not satisfy the filter" in found.trace.stages[-1].detail
    assert len(Searcher(index.reader, Deaf(ids[:1], index), [RerankStage("adding", adding)], 5).search("x").hits) == 3


def test_hits_always_satisfy_what_is_always_asked(index):
    searcher = Searcher(index.reader, build_hybrid(HybridOptions(), index), (), 8, always=as_llama("year >= 2018"))
    assert {hit.metadata["year"] for hit in searcher.search("ledger").hits} == {2018, 2019, 2020, 2021, 2022}
    assert {hit.metadata["year"] for hit in searcher.search("ledger", filters="year < 2020").hits} == {2018, 2019}
    assert searcher.search("ledger", filters="year < 2018").hits == ()


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ("yaer = 2020", "no chunk has the key 'yaer'; did you mean 'year'?"),
        ("xyz = 1", "no chunk has the key 'xyz'; there is: source, tags, title, uri, year"),
        ("year = 1 and yaer = 2", "no chunk has the key 'yaer'; did you mean 'year'?"),
        ("page >= 3", "no chunk has the key 'page'; there is: source,"),
        ("year = '2020'", "'year' is a number, such as 2015, and never a text; write the value without quotes"),
        ("title = 3", "'title' is a text, such as Page 0, and never a number; put the value in quotes"),
        ("tags in [a, b]", "'tags' is a list, such as ['a'], and never a text; write: tags contains …"),
        ("year = 1900", None),
        ("title contains 3 or year = true", None),
        ("year >= 2018", None),
    ],
)
def test_a_slip_in_a_filter_is_told(index, searcher, filters, told):
    trace = searcher.search("ledger documents", filters=filters).trace
    details = [stage.detail for stage in trace.stages if stage.name == "filter"]
    assert [detail[: len(told or "")] for detail in details] == ([told] if told else [])


async def test_the_async_twin_gives_the_same(searcher):
    found = await searcher.asearch("ledger documents", k=3)
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in searcher.search("ledger documents", k=3).hits]


@pytest.mark.parametrize("text", ["🦊🦊🦊", "the of and", "?!"])
def test_questions_without_words_have_a_defined_result(searcher, text):
    found = searcher.search(text)
    assert len(found.hits) == 5
    assert found.trace.degraded
