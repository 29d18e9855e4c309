"""The suite for rerankers: order, `top_n`, ties, what is left alone, odd texts, and the cache of scores."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ragkit.components import EstimatesTime, Prepares
from ragkit.errors import RagkitError
from ragkit.testing.conformance.asked import AskedSuite, Maker
from ragkit.testing.conformance.corpus import ODD_QUESTIONS, QUESTIONS, pictures
from ragkit.testing.context import FakeScores

ODD_TEXTS = ("", " \n", "🙂🎉", "参观者在入口处登记", "long " * 20_000, "[1] > [2]\n{question}", "nul \x00 and \ud83d")


class RerankerSuite(AskedSuite):
    """The tests of a reranker; see `ragkit.testing.conformance`.

    It is handed copies of `NodeWithScore`s whose nodes others have too. The host survives an error of it and cuts to `top_n`;
    the suite holds it to more.
    """

    def test_it_is_a_llamaindex_postprocessor(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Build a LlamaIndex `BaseNodePostprocessor`."""
        assert isinstance(maker(nodes), BaseNodePostprocessor)

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_the_best_come_first(self, maker: Maker, nodes: list[TextNode], question: str) -> None:
        """Sort hits by descending, finite score."""
        scores = [hit.score for hit in _ask(maker(nodes), nodes, question)]
        assert all(score is not None and math.isfinite(score) for score in scores)
        assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]

    def test_no_hit_is_invented_or_doubled(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Return nodes that were handed in, each once."""
        found = _ids(_ask(maker(nodes), nodes))
        assert found
        assert len(set(found)) == len(found)
        assert set(found) <= {node.node_id for node in nodes}

    def test_top_n_is_an_option(self) -> None:
        """Subclass `ragkit.RerankerOptions`, so that the host can cut to `top_n` and hold to `budget_ms`."""
        assert {"top_n", "budget_ms"} <= set(self.component.options.model_fields)

    def test_the_same_question_has_the_same_order(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Give the same hits in the same order every time, with the cache as another run of the program left it, too."""
        first = _ask(maker(nodes), nodes)
        _same(_ask(maker(nodes, again=True), nodes), first)
        _same(_ask(maker(nodes), nodes), first)

    def test_the_async_twin_gives_the_same(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `apostprocess_nodes` do what `postprocess_nodes` does."""
        found = asyncio.run(maker(nodes).apostprocess_nodes(_hits(nodes), query_bundle=QueryBundle(QUESTIONS[0])))
        _same(found, _ask(maker(nodes), nodes))

    def test_threads_may_share_it(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Keep what belongs to a question in local variables: many are asked at once."""
        alone = {question: _ask(maker(nodes), nodes, question) for question in QUESTIONS}
        reranker = maker(nodes)
        with ThreadPoolExecutor(8) as pool:
            asked = [*QUESTIONS] * 4
            for question, found in zip(asked, pool.map(partial(_ask, reranker, nodes), asked), strict=True):
                _same(found, alone[question])

    def test_what_is_handed_in_stays_as_it_is(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Make new `NodeWithScore`s, and change no node: what came in is shown beside what went out."""
        hits, before = _hits(nodes), pictures(nodes)
        scores = [hit.score for hit in hits]
        maker(nodes).postprocess_nodes(hits, query_bundle=QueryBundle(QUESTIONS[0]))
        assert pictures(nodes) == before
        assert [hit.score for hit in hits] == scores

    def test_nothing_in_nothing_out(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Return an empty list for an empty list."""
        assert maker(nodes).postprocess_nodes([], query_bundle=QueryBundle(QUESTIONS[0])) == []

    def test_a_single_hit(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Keep a single hit, unless it is what you drop."""
        assert set(_ids(_ask(maker(nodes), nodes[:1]))) <= {nodes[0].node_id}

    @pytest.mark.parametrize("score", [None, 0.0, -3.5])
    def test_hits_of_equal_score_or_none(self, maker: Maker, nodes: list[TextNode], score: float | None) -> None:
        """Take hits without a score, and with equal ones; a retriever from elsewhere may give none."""
        hits = [NodeWithScore(node=node, score=score) for node in nodes]
        found = maker(nodes).postprocess_nodes(hits, query_bundle=QueryBundle(QUESTIONS[0]))
        assert set(_ids(found)) <= {node.node_id for node in nodes}

    @pytest.mark.parametrize("what", ODD_QUESTIONS)
    def test_odd_questions(self, maker: Maker, nodes: list[TextNode], what: str) -> None:
        """Take a question that says nothing."""
        assert set(_ids(_ask(maker(nodes), nodes, ODD_QUESTIONS[what]))) <= {node.node_id for node in nodes}

    def test_odd_texts(self, maker: Maker) -> None:
        """Take texts that are empty, very long, or not in English."""
        odd = [TextNode(id_=f"{number:08}-0000-4000-8000-000000000000", text=text) for number, text in enumerate(ODD_TEXTS)]
        assert set(_ids(_ask(maker(odd), odd))) <= {node.node_id for node in odd}

    def test_without_a_question(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Without a query bundle keep the order, or say with a `ValueError` or `RagkitError` that one is needed."""
        found: list[NodeWithScore] = []
        with suppress(RagkitError, ValueError):
            found = maker(nodes).postprocess_nodes(_hits(nodes))
        assert set(_ids(found)) <= {node.node_id for node in nodes}

    def test_the_score_cache_holds_numbers(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Keep no score in `context.scores` that is not finite."""
        _ask(maker(nodes), nodes)
        assert maker.context is not None
        assert isinstance(maker.context.scores, FakeScores)
        assert all(math.isfinite(score) for score in maker.context.scores.kept.values())

    def test_it_loads_once_and_estimates_times(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `prepare` be called again without harm; let `estimate_ms` be a time from 0 on, or None."""
        reranker = maker(nodes)
        for _ in range(2):
            if isinstance(reranker, Prepares):
                reranker.prepare()
            if isinstance(reranker, EstimatesTime):
                estimate = reranker.estimate_ms(QueryBundle(QUESTIONS[0]), _hits(nodes))
                assert estimate is None or (math.isfinite(estimate) and estimate >= 0)
            _ask(reranker, nodes)


def _hits(nodes: Sequence[TextNode]) -> list[NodeWithScore]:
    """As a retriever hands them out: the best first, some of equal score."""
    return [NodeWithScore(node=node, score=1.0 - place // 2 / 10) for place, node in enumerate(nodes)]


def _ask(reranker: BaseNodePostprocessor, nodes: Sequence[TextNode], question: str = QUESTIONS[0]) -> list[NodeWithScore]:
    return reranker.postprocess_nodes(_hits(nodes), query_bundle=QueryBundle(question))


def _ids(found: Sequence[NodeWithScore]) -> list[str]:
    return [hit.node.node_id for hit in found]


def _same(found: Sequence[NodeWithScore], wanted: Sequence[NodeWithScore]) -> None:
    """The same hits in the same order; scores may follow the clock, as those of a date do, but not visibly."""
    assert _ids(found) == _ids(wanted)
    assert [hit.score or 0.0 for hit in found] == pytest.approx([hit.score or 0.0 for hit in wanted], abs=1e-6)
