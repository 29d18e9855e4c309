"""The hybrid retriever over both legs."""

from __future__ import annotations

import threading

import pytest
from llama_index.core.schema import QueryBundle
from pydantic import ValidationError

from ragkit.builtin.retrievers import HybridOptions, build_dense, build_hybrid, build_keyword, ragkit_retrievers
from ragkit.builtin.retrievers.base import LegRetriever
from ragkit.builtin.retrievers.hybrid import Fusing, HybridRetriever
from ragkit.components import Kind, Leg, Spec
from ragkit.errors import ComponentError, QueryError
from ragkit.filters import as_llama
from ragkit.query.run import QueryRun, Question
from ragkit.query.trace import Recorder

QUERIES = ("cache of vectors", "how do I install the demo", "ledger documents chunks", "rare words", "river", "unheard")


def question(text="ledger documents chunks", k=5, **settings):
    return Question(QueryRun(text, k, settings=settings, recorder=Recorder(3)))


def hybrid(index, **options):
    return build_hybrid(HybridOptions(**options), index)


def ids_of(nodes):
    return [item.node.node_id for item in nodes]


def stages(asked):
    return {stage.name: stage for stage in asked.run.recorder.trace().stages}


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize(("alpha", "alone"), [(1, build_dense), (0, build_keyword)])
def test_alpha_at_either_end_ranks_as_one_leg_does(index, text, alpha, alone):
    expected = alone(None, index).retrieve(question(text))
    assert ids_of(hybrid(index, alpha=alpha).retrieve(question(text))) == ids_of(expected)
    assert ids_of(hybrid(index).retrieve(question(text, alpha=alpha))) == ids_of(expected)


def test_a_leg_of_weight_0_is_not_asked(index):
    asked = question()
    hybrid(index, alpha=0).retrieve(asked)
    assert index.dense.asked == []
    assert index.embedding.asked == []
    assert stages(asked)["dense"].status == "skipped"


def test_every_candidate_has_both_scores(index):
    asked = question()
    hybrid(index, depth=2).retrieve(asked)
    trace = asked.run.recorder.trace()
    assert set(trace.scores["fused"]) <= set(trace.scores["dense"]) & set(trace.scores["keyword"])
    assert len(trace.ranks["dense"]) == 5  # as many as hits are wanted, though depth is 2
    for chunk_id in trace.scores["fused"]:
        assert trace.scores["dense"][chunk_id] == pytest.approx(index.legs["dense"].score(question(), [chunk_id])[0])


def test_fused_ranks_and_scores_stand_in_the_trace(index):
    asked = question()
    nodes = hybrid(index).retrieve(asked)
    trace = asked.run.recorder.trace()
    assert [trace.ranks["fused"][item] for item in ids_of(nodes)] == [1, 2, 3, 4, 5]
    assert [item.score for item in nodes] == [trace.scores["fused"][item] for item in ids_of(nodes)]
    assert [stage.name for stage in trace.stages] == ["dense", "keyword", "embed", "fused"]


@pytest.mark.parametrize(("broken", "other"), [("dense", build_keyword), ("keyword", build_dense)])
def test_one_leg_that_fails_leaves_the_other(index, broken, other):
    getattr(index, broken).error = ConnectionError("no route to the store")
    asked = question()
    nodes = hybrid(index).retrieve(asked)
    assert ids_of(nodes) == ids_of(other(None, index).retrieve(question()))
    assert stages(asked)["fused"].status == "degraded"
    assert stages(asked)[broken].detail == "ConnectionError: no route to the store"


def test_all_legs_failing_is_an_error(index):
    index.dense.error = index.keyword.error = ConnectionError("away")
    with pytest.raises(ComponentError, match=r"every leg failed: dense: ConnectionError: away; keyword"):
        hybrid(index).retrieve(question())


def test_a_leg_that_finds_nothing_is_told(index):
    asked = question("unheard")
    assert len(hybrid(index).retrieve(asked)) == 5
    assert stages(asked)["fused"].status == "degraded"
    assert "keyword found nothing" in stages(asked)["fused"].detail


def test_a_leg_that_cannot_score_by_id_is_told(make_index):
    index = make_index(
        ["alpha alpha", "beta gamma with many more words around them", "nothing"]
    )  # dense finds one, keyword the other
    index.dense.scores_by_id = False
    asked = question("alpha beta gamma", k=1)
    hybrid(index, depth=1).retrieve(asked)
    assert stages(asked)["fused"].entered == 2
    assert stages(asked)["fused"].detail == "dense cannot score by id: 1 candidates count as its lowest"


@pytest.mark.parametrize("normaliser", ["zscore", "minmax", "distribution", "theoretical"])
def test_a_weight_of_nearly_1_ranks_as_the_first_leg_under_every_normaliser(index, normaliser):
    fused = hybrid(index, alpha=1 - 1e-9, normaliser=normaliser, adaptive=False)
    asked = question()
    assert ids_of(fused.retrieve(asked)) == ids_of(build_dense(None, index).retrieve(question()))
    assert "bounds" not in stages(asked)["fused"].detail or normaliser == "theoretical"


@pytest.mark.parametrize("normaliser", ["zscore", "minmax", "distribution"])
def test_more_hits_are_more_of_the_same(make_index, normaliser):
    """What k is asked for decides neither weight nor scale."""
    words = ("ledger", "documents", "chunks", "cache", "vectors", "river", "fox", "bank", "package", "demo")
    index = make_index([" ".join(words[place % (3 + n % 7)] for place in range(3 + n % 11)) + f" n{n}" for n in range(300)])
    scores = {}
    for k in (5, 110, 250):
        asked = question("ledger river documents", k=k)
        hybrid(index, depth=110, normaliser=normaliser).retrieve(asked)
        scores[k] = asked.run.recorder.trace().scores["fused"]
        detail = stages(asked)["fused"].detail
        assert "stands out" in detail
        scores[k, "detail"] = detail
    assert scores[5, "detail"] == scores[110, "detail"] == scores[250, "detail"]
    assert all(scores[250][item] == pytest.approx(score) for item, score in scores[5].items() if item in scores[250])
    assert set(scores[5]) <= set(scores[110])


def test_reciprocal_ranks_by_hand(index):
    asked = question()
    nodes = hybrid(index, fusion="rrf", alpha=0.5, rrf_k=1).retrieve(asked)
    trace = asked.run.recorder.trace()
    ranks = {leg: sorted(trace.scores[leg].values(), reverse=True) for leg in ("dense", "keyword")}
    for item in nodes:
        share = [
            0.5 / (1 + 1 + ranks[leg].index(trace.scores[leg][item.node.node_id]))
            for leg in ranks
            if leg == "dense" or trace.scores[leg][item.node.node_id] > 0
        ]
        assert item.score == pytest.approx(sum(share))


def test_a_leg_without_bounds_is_told(index):
    asked = question()
    hybrid(index, normaliser="theoretical").retrieve(asked)
    assert stages(asked)["fused"].detail == (
        "keyword does not know its bounds: its scores are mapped by the best and the worst found"
    )


def test_legs_on_other_machines_are_asked_at_the_same_time(index):
    """Each leg waits for the other to have begun: one after the other they would wait for ever."""
    index.dense.capabilities["processes"] = index.keyword.capabilities["processes"] = "server"
    index.__post_init__()
    both = threading.Barrier(2, timeout=10)
    for store in (index.dense, index.keyword):
        search = store.search
        store.search = lambda query, search=search: (both.wait(), search(query))[1]
    asked = question()
    assert len(hybrid(index).retrieve(asked)) == 5
    assert not asked.run.recorder.trace().degraded


def test_what_keyword_found_is_read_while_the_question_is_embedded(index):
    index.keyword.capabilities["processes"] = "server"
    index.__post_init__()
    read = threading.Event()
    vectors, embed = index.dense.vectors, index.embedding._get_query_embedding
    index.dense.vectors = lambda ids: (read.set(), vectors(ids))[1]

    def slow(query):
        assert read.wait(10)
        return embed(query)

    object.__setattr__(index.embedding, "_get_query_embedding", slow)
    asked = question()
    assert len(hybrid(index).retrieve(asked)) == 5
    assert index.embedding.asked == [asked.query_str]


@pytest.mark.parametrize("alpha", [1.5, -0.1, float("nan"), "half", True])
def test_an_alpha_out_of_range_is_refused(index, alpha):
    with pytest.raises(QueryError, match=r"alpha is .*; it must be a number from 0 \(keyword alone\) to 1 \(dense alone\)"):
        hybrid(index).retrieve(question(alpha=alpha))


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"depth": 0}, {"normaliser": "softmax"}, {"weights": [1]}])
def test_wrong_options(options):
    with pytest.raises(ValidationError):
        HybridOptions(**options)


def spec(name):
    component = ragkit_retrievers()[0]
    return Spec(Kind.RETRIEVER, component, component.options(), name)


def test_legs_have_different_names():
    with pytest.raises(ValidationError, match="different names"):
        HybridOptions(legs=[spec("a"), spec("a")])
    with pytest.raises(ValidationError, match="one leg is nothing to fuse"):
        HybridOptions(legs=[spec("a")])


def test_three_legs_share_what_alpha_leaves(index):
    legs = [index.legs["dense"], index.legs["keyword"], index.leg(index.legs["keyword"], "words")]
    fused = HybridRetriever(index, legs, alpha=0.6, depth=100)
    assert ids_of(fused.retrieve(question())) == ids_of(hybrid(index).retrieve(question()))


def test_hybrids_nest(index):
    inner = LegRetriever(index, index.leg(hybrid(index), "inner"))
    outer = HybridRetriever(index, [inner, index.legs["keyword"]], alpha=0.5, depth=10, fusing=Fusing(normaliser="minmax"))
    asked = question()
    assert len(outer.retrieve(asked)) == 5
    assert {"inner", "dense", "keyword", "fused"} <= set(stages(asked))


def test_retrievers_are_legs_and_llamaindex_retrievers(index):
    for retriever in (build_dense(None, index), build_keyword(None, index), hybrid(index)):
        assert isinstance(retriever, Leg)
        assert len(retriever.retrieve(QueryBundle("ledger documents chunks store of vectors"))) <= index.top_k
        assert retriever.retrieve("ledger")[0].node.get_content()


async def test_the_async_twin_gives_the_same(index):
    nodes = await hybrid(index).aretrieve(question())
    assert ids_of(nodes) == ids_of(hybrid(index).retrieve(question()))


def test_filters_reach_every_leg(index):
    asked = Question(QueryRun("ledger documents vectors", 5, as_llama("year > 2018")))
    nodes = hybrid(index).retrieve(asked)
    assert {item.node.metadata["year"] for item in nodes} == {2019, 2020, 2021, 2022}


def test_hits_deleted_before_hydration_are_replaced(index):
    real, calls = index.hydrate, []

    def hydrate(ids, scores=None):
        if not calls:
            index.reader.deleted.add(ids[0])
        calls.append(ids)
        return real(ids, scores)

    index.hydrate = hydrate
    nodes = hybrid(index).retrieve(question(k=3))
    assert len(nodes) == 3
    assert not index.reader.deleted & set(ids_of(nodes))


def test_retrieval_is_deterministic(make_index):
    index = make_index(["the same text"] * 20)
    runs = {tuple(ids_of(hybrid(index).retrieve(question("same text")))) for _ in range(3)}
    assert len(runs) == 1


def test_llamaindex_events_are_emitted(index):
    from llama_index.core.instrumentation import get_dispatcher
    from llama_index.core.instrumentation.event_handlers import BaseEventHandler

    class Seen(BaseEventHandler):
        names: list[str] = []  # noqa: RUF012 - pydantic copies it

        def handle(self, event, **kwargs):
            self.names.append(event.class_name())

    dispatcher, seen = get_dispatcher(), Seen()
    dispatcher.add_event_handler(seen)
    try:
        hybrid(index).retrieve(question())
    finally:
        dispatcher.event_handlers.remove(seen)
    assert {"RetrievalStartEvent", "RetrievalEndEvent"} <= set(seen.names)
