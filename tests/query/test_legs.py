"""Legs: living hits only, as many as there are, and true scores by id."""

from __future__ import annotations

import math

import numpy as np
import pytest
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ragkit.components import Leg
from ragkit.filters import as_llama
from ragkit.query.adapters import as_leg
from ragkit.query.legs import DenseLeg, similarity
from ragkit.query.run import QueryRun, Question


def ask(text="cache of vectors", k=5):
    return Question(QueryRun(text, k))


@pytest.mark.parametrize("name", ["dense", "keyword"])
def test_both_are_legs(index, name):
    assert isinstance(index.legs[name], Leg)


def test_deleted_hits_are_replaced_by_the_next_best(make_index):
    index = make_index([f"shared words and number{n}" for n in range(40)])
    question = ask("shared words", 10)
    before, _ = index.legs["dense"].search(question, 10)
    index.reader.deleted.update(before[:9])
    after, scores = index.legs["dense"].search(ask("shared words"), 10)
    assert len(after) == 10
    assert not index.reader.deleted & set(after)
    assert scores == sorted(scores, reverse=True)


def test_what_remains_is_found_when_nearly_all_is_deleted(make_index):
    index = make_index([f"shared words and number{n}" for n in range(300)])
    last = index.id(299)
    index.reader.deleted.update(set(index.reader.records) - {last})
    question = ask("shared words")
    assert index.legs["dense"].search(question, 5)[0] == [last]
    assert index.dense.asked == [5, 10, 20, 40, 80, 160, 300]
    assert "299 hits were deleted" in question.run.recorder.trace().stages[-1].detail


def test_a_store_that_has_no_more_is_not_asked_again(index):
    index.reader.deleted.add(index.id(0))
    ids, _ = index.legs["dense"].search(ask(), 100)
    assert len(ids) == 7
    assert index.dense.asked == [100]


def test_keyword_hits_match(index):
    ids, scores = index.legs["keyword"].search(ask("ledger documents"), 100)
    assert index.numbers(ids)[0] == 5
    assert len(ids) < 8
    assert min(scores) > 0


def test_the_question_is_embedded_once(index):
    question = ask()
    index.legs["dense"].search(question, 3)
    index.legs["dense"].score(question, [index.id(7)])
    assert index.embedding.asked == ["cache of vectors"]
    assert [stage.name for stage in question.run.recorder.trace().stages] == ["embed", "dense"]


def test_scores_by_id_equal_those_of_the_search(index):
    for name in ("dense", "keyword"):
        ids, scores = index.legs[name].search(ask(), 8)
        assert index.legs[name].score(ask(), ids) == pytest.approx(scores, abs=1e-6)


def test_a_chunk_that_the_store_lacks_has_no_score(index):
    scores = index.legs["dense"].score(ask(), [index.id(0), "unknown"])
    assert scores[0] > 0
    assert math.isnan(scores[1])


@pytest.mark.parametrize("name", ["dense", "keyword"])
def test_a_store_that_cannot_score_says_none(index, name):
    getattr(index, name).scores_by_id = False
    assert index.legs[name].score(ask(), [index.id(0)]) is None


@pytest.mark.parametrize("capability", [False, ["==", "in"]])
def test_a_filter_that_the_store_cannot_evaluate_is_evaluated_here(index, capability):
    index.dense.capabilities["filters"] = capability
    question = ask(k=3)
    ids, _ = index.legs["dense"].search(question, 3, as_llama("year >= 2018 and year <= 2020"))
    assert sorted(index.numbers(ids)) == [3, 4, 5]
    (record,) = [stage for stage in question.run.recorder.trace().stages if stage.name == "dense"]
    assert "checked in the ledger" in record.detail


@pytest.mark.parametrize("capability", [True, ["==", ">=", "<=", "and"]])
def test_a_filter_that_the_store_can_evaluate_is_handed_over(index, capability):
    index.dense.capabilities["filters"] = capability
    question = ask(k=3)
    ids, _ = index.legs["dense"].search(question, 3, as_llama("year >= 2018 and year <= 2020"))
    assert sorted(index.numbers(ids)) == [3, 4, 5]
    assert index.dense.asked == [3]
    assert "ledger" not in question.run.recorder.trace().stages[-1].detail


def test_a_filter_on_an_unknown_key_finds_nothing(index):
    assert index.legs["dense"].search(ask(), 3, as_llama("colour = red")) == ([], [])


def test_a_filter_that_was_checked_for_every_chunk_is_not_degraded(make_index):
    index = make_index([f"shared words and number{n}" for n in range(100)])
    question = ask("shared words")
    assert index.legs["dense"].search(question, 5, as_llama("year = 2020"))[0] == [index.id(5)]
    assert question.run.recorder.trace().stages[-1].status == "ok"


def test_a_filter_is_not_checked_without_end(make_index, monkeypatch):
    monkeypatch.setattr("ragkit.query.legs.FILTERED_CANDIDATES", 50)
    index = make_index([f"shared words and number{n}" for n in range(100)])
    question = ask("shared words")
    assert index.legs["dense"].search(question, 5, as_llama("year = 1900")) == ([], [])
    assert index.dense.asked == [20, 40, 50]
    assert "beyond those candidates" in question.run.recorder.trace().stages[-1].detail


def test_what_the_store_checks_one_by_one_stands_in_the_trace(index):
    index.dense.capabilities["filters"] = True
    index.dense.evaluates_filters = False
    question = ask(k=3)
    assert len(index.legs["dense"].search(question, 3, as_llama("year >= 2020"))[0]) == 3
    (record,) = [stage for stage in question.run.recorder.trace().stages if stage.name == "dense"]
    assert record.status == "ok"
    assert record.detail == "vectors cannot evaluate all of this filter: up to 10,000 candidates were checked one by one"
    plain = ask(k=3)
    index.legs["dense"].search(plain, 3)
    assert plain.run.recorder.trace().stages[-1].detail == ""


@pytest.mark.parametrize(
    ("name", "text", "bound", "wanted", "status"),
    [
        ("dense", "year = 2020", 50, 5, "degraded"),
        ("dense", "year = 2020", 50, 1, "ok"),  # as many as were asked
        ("dense", "year = 2020", 100, 5, "ok"),  # the store holds no more than the bound
        ("keyword", "year = 2020", 50, 5, "degraded"),
    ],
)
def test_a_store_that_stopped_at_its_bound_is_degraded(make_index, monkeypatch, name, text, bound, wanted, status):
    monkeypatch.setattr("ragkit.query.legs.FILTERED_CANDIDATES", bound)
    index = make_index([f"shared words and number{n}" for n in range(100)])
    store = getattr(index, name)
    store.capabilities["filters"] = True
    store.evaluates_filters = False
    question = ask("shared words")
    index.legs[name].search(question, wanted, as_llama(text))
    assert question.run.recorder.trace().stages[-1].status == status


def test_a_keyword_store_without_further_candidates_is_not_degraded(make_index, monkeypatch):
    monkeypatch.setattr("ragkit.query.legs.FILTERED_CANDIDATES", 50)
    index = make_index([f"shared words and number{n}" for n in range(100)])
    index.keyword.capabilities["filters"] = True
    index.keyword.evaluates_filters = False
    question = ask("number7")
    assert index.legs["keyword"].search(question, 5, as_llama("year >= 1900"))[0] == [index.id(7)]
    assert question.run.recorder.trace().stages[-1].status == "ok"


def test_no_candidate_is_looked_at_twice(make_index, monkeypatch):
    index = make_index([f"shared words and number{n}" for n in range(100)])
    read: list[str] = []
    chunks = index.reader.chunks
    monkeypatch.setattr(index.reader, "chunks", lambda ids: read.extend(ids) or chunks(ids))
    index.legs["dense"].search(ask("shared words"), 5, as_llama("year = 1900"))
    assert index.dense.asked == [20, 40, 80, 100]
    assert len(read) == len(set(read)) == 100


def test_filters_see_where_a_chunk_stands(index):
    ids, _ = index.legs["keyword"].search(ask("ledger cache package"), 5, as_llama("uri = page5.md"))
    assert index.numbers(ids) == [5]


def test_a_store_that_gives_less_than_it_holds_is_told(index, monkeypatch):
    search = index.dense.search
    monkeypatch.setattr(index.dense, "search", lambda query: tuple(part[:2] for part in search(query)))
    question = ask()
    index.legs["dense"].search(question, 5)
    assert question.run.recorder.trace().stages[-1].status == "degraded"


def test_similarities_of_each_metric():
    matrix, vector = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), np.array([2.0, 0.0])
    assert similarity(matrix, vector, "cosine") == pytest.approx([1.0, 0.0, 0.0])
    assert similarity(matrix, vector, "dot") == pytest.approx([2.0, 0.0, 0.0])
    assert similarity(matrix, vector, "l2") == pytest.approx([-1.0, -8.0, -4.0])


class Foreign(BaseRetriever):
    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle: QueryBundle):
        return self.nodes


def test_any_retriever_becomes_a_leg(index):
    ids = [index.id(4), "unknown", index.id(2)]
    nodes = [
        NodeWithScore(node=TextNode(id_=item, text="?"), score=score) for item, score in zip(ids, (3.0, 2.0, 1.0), strict=True)
    ]
    question = ask()
    leg = index.leg(Foreign(nodes), "theirs")
    assert leg.search(question, 5) == ([index.id(4), index.id(2)], [3.0, 1.0])
    assert leg.score(question, ids) is None
    (record,) = question.run.recorder.trace().stages
    assert (record.name, record.status) == ("theirs", "degraded")


def test_a_retriever_without_scores_is_ranked(index):
    nodes = [NodeWithScore(node=TextNode(id_=index.id(n), text="?")) for n in (4, 2)]
    assert index.leg(Foreign(nodes), "theirs").search(ask(), 5)[1] == [1.0, 0.5]


def test_a_leg_stays_what_it_is_or_gets_another_name(index):
    assert index.leg(index.legs["dense"], "dense") is index.legs["dense"]
    question = ask()
    other = index.leg(index.legs["dense"], "mine")
    assert other.search(question, 3) == index.legs["dense"].search(ask(), 3)
    assert set(question.run.recorder.trace().scores) == {"dense", "mine"}
    assert other.score(question, [index.id(0)]) is not None


def test_a_leg_must_be_a_retriever(index):
    with pytest.raises(Exception, match="no retriever"):
        as_leg(object(), "odd", index.reader)


def test_other_texts_to_embed_are_used(index):
    bundle = QueryBundle("nothing of this", custom_embedding_strs=[index.reader.records[index.id(7)].text])
    ids, scores = DenseLeg(index.dense, index.embedding, index.reader).search(bundle, 1)
    assert index.numbers(ids) == [7]
    assert scores == pytest.approx([1.0])
