"""A reranker at its place: how much it is handed, how much it leaves, and how long it may take."""

from __future__ import annotations

import threading

import pytest
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore

from ragkit.builtin.retrievers import build_dense
from ragkit.query import reranking
from ragkit.query.reranking import RerankStage
from ragkit.query.search import Searcher


class Backwards(BaseNodePostprocessor):
    """Turns the order round; `work` is done before."""

    _work: object = PrivateAttr()
    _seen: list[int] = PrivateAttr(default_factory=list)

    def __init__(self, work=None):
        super().__init__()
        self._work = work

    def _postprocess_nodes(self, nodes, query_bundle=None):
        self._seen.append(len(nodes))
        if self._work:
            self._work()
        return [NodeWithScore(node=item.node, score=float(rank)) for rank, item in enumerate(nodes)][::-1]


class Estimating(Backwards):
    """Says how long it would take, and loads."""

    _ms: float | None = PrivateAttr(default=None)
    _loaded: int = PrivateAttr(default=0)

    def estimate_ms(self, query, nodes):
        return self._ms

    def prepare(self):
        self._loaded += 1


@pytest.fixture
def search(make_index):
    index = make_index([f"shared words and number{n}" for n in range(30)])

    def search(*stages, k=5):
        return Searcher(index.reader, build_dense(None, index), stages, k).search("shared words")

    return search


def stage_of(found, name="back"):
    (record,) = [stage for stage in found.trace.stages if stage.name == name]
    return record


def ids(found):
    return [hit.chunk_id for hit in found.hits]


def test_top_n_cuts_and_the_trace_says_what_dropped_a_hit(search):
    found = search(RerankStage("back", Backwards(), top_n=2), k=5)
    assert ids(found) == ids(search(k=30))[::-1][:2]
    assert stage_of(found).out == 2
    assert set(found.trace.dropped.values()) == {"back"}
    assert len(found.trace.dropped) == 28
    assert not set(ids(found)) & set(found.trace.dropped)


def test_candidates_are_all_that_it_looks_at(search):
    reranker = Backwards()
    found = search(RerankStage("back", reranker, candidates=3), k=6)
    plain = ids(search(k=6))
    assert reranker._seen == [3]
    assert ids(found) == [*plain[:3][::-1], *plain[3:]]


def test_stages_in_a_row_hand_on_what_they_leave(search):
    second = Backwards()
    found = search(RerankStage("first", Backwards(), top_n=8), RerankStage("second", second, top_n=3), k=3)
    assert second._seen == [8]
    assert ids(found) == ids(search(k=30))[::-1][:8][::-1][:3]
    assert [stage_of(found, name).entered for name in ("first", "second")] == [30, 8]


def test_a_stage_that_takes_too_long_is_not_waited_for(search, monkeypatch):
    release = threading.Event()
    reranker = Backwards(lambda: release.wait(30))
    stage = RerankStage("back", reranker, budget_ms=30, top_n=4)
    found = search(stage)
    assert (stage_of(found).status, stage_of(found).detail) == ("skipped", "it took longer than its budget of 30 ms")
    assert ids(found) == ids(search())[:4]
    assert "still busy" in stage_of(search(stage)).detail
    assert reranker._seen == [30]
    release.set()
    stage._left.result(timeout=10)
    assert stage_of(search(stage)).detail == "it would take about 30 ms, and its budget is 30 ms"
    monkeypatch.setattr(reranking, "_TRIED_AGAIN_AFTER_S", 0.0)
    stage.budget_ms = 30_000
    assert stage_of(search(stage)).status == "ok"


def test_what_is_known_to_take_too_long_is_not_begun(search):
    reranker = Estimating()
    stage = RerankStage("back", reranker, budget_ms=200)
    reranker._ms = 340.0
    found = search(stage)
    assert (stage_of(found).status, stage_of(found).detail) == ("skipped", "it would take about 340 ms, and its budget is 200 ms")
    assert reranker._seen == []
    reranker._ms = 100.0
    found = search(stage)
    assert stage_of(found).status == "ok"
    assert ids(found) == ids(search(k=30))[::-1][:5]


def test_loading_is_no_part_of_the_budget(search):
    reranker = Estimating()
    loading = threading.Event()

    def load():
        assert not loading.wait(0.2)  # longer than the budget

    object.__setattr__(reranker, "prepare", load)
    found = search(RerankStage("back", reranker, budget_ms=100))
    assert (stage_of(found).status, stage_of(found).detail) == ("ok", "loaded in 0.2 s")


@pytest.mark.parametrize("error", [TimeoutError("the service did not answer"), ValueError("no")])
@pytest.mark.parametrize("budget_ms", [None, 60_000])
def test_its_own_error_leaves_the_order(search, error, budget_ms):
    def fail():
        raise error

    found = search(RerankStage("back", Backwards(fail), budget_ms=budget_ms))
    assert ids(found) == ids(search())
    assert stage_of(found).status == "degraded"
    assert stage_of(found).detail == f"left out: {type(error).__name__}: {error}"
