"""The suite for retrievers: order, number, ties, filters, odd questions, and failing legs."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ragkit.components import Leg, Presents
from ragkit.filters import as_llama, matcher
from ragkit.testing.conformance.asked import Maker
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.corpus import FILTERS, NOBODY, ODD_QUESTIONS, QUESTIONS, pictures, same
from ragkit.testing.conformance.finding import FindingTests


class RetrieverSuite(FindingTests):
    """The tests of a retriever; see `ragkit.testing.conformance`.

    The context offers `dense` and `keyword` legs over sixteen chunks. Hits may be wider than chunks, but have the id of one.
    """

    def test_it_is_a_llamaindex_retriever(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Build a LlamaIndex `BaseRetriever`, which also answers a question given as a plain text."""
        retriever = maker(nodes)
        assert isinstance(retriever, BaseRetriever)
        assert retriever.retrieve(QUESTIONS[0])

    @pytest.mark.parametrize("question", QUESTIONS)
    def test_the_best_come_first(self, maker: Maker, nodes: list[TextNode], question: str) -> None:
        """Sort hits by descending score, each chunk once. Give a score to all of them or to none."""
        found = maker(nodes).retrieve(question)
        assert _ids(found)
        assert len(set(_ids(found))) == len(found)
        scores = [hit.score for hit in found]
        assert scores == [None] * len(found) or scores == sorted(scores, reverse=True)

    def test_hits_are_chunks_of_the_index(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Hand out nodes with the ids of chunks that the context knows: `context.hydrate` makes them."""
        assert set(_ids(maker(nodes).retrieve(QUESTIONS[0]))) <= {node.node_id for node in nodes}

    def test_top_k_bounds_the_hits(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Hand out `context.run(query).top_k` hits, fewer only where there are no more, and a larger number's first ones."""
        everything = _ids(maker(nodes, 1_000).retrieve(QUESTIONS[0]))
        assert everything
        for k in (1, 2, 5):
            assert _ids(maker(nodes, k).retrieve(QUESTIONS[0])) == everything[:k]

    def test_the_same_question_has_the_same_hits(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Break ties by something that stays, such as the id; no time, hash, order of documents or earlier question may decide."""
        retriever = maker(nodes)
        first = {question: retriever.retrieve(question) for question in QUESTIONS}
        for question, found in first.items():
            assert same(retriever.retrieve(question), found)
            assert same(maker(nodes).retrieve(question), found)
            assert same(maker([*nodes[8:], *nodes[:8]]).retrieve(question), found)
            retriever = maker(nodes)

    def test_the_async_twin_gives_the_same(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `aretrieve` do what `retrieve` does."""
        retriever = maker(nodes)
        for question in QUESTIONS:
            assert same(asyncio.run(retriever.aretrieve(question)), maker(nodes).retrieve(question))

    def test_threads_may_share_it(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Keep what belongs to a question in local variables: many are asked at once."""
        alone = {question: maker(nodes).retrieve(question) for question in QUESTIONS}
        retriever = maker(nodes)
        with ThreadPoolExecutor(8) as pool:
            asked = [*QUESTIONS] * 8
            for question, found in zip(asked, pool.map(retriever.retrieve, asked), strict=True):
                assert same(found, alone[question])

    def test_the_chunks_stay_as_they_are(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Change no node that the context hands over: others have it too. Copy it first (`model_copy`)."""
        before = pictures(nodes)
        maker(nodes).retrieve(QUESTIONS[0])
        assert pictures(nodes) == before

    def test_an_empty_index_has_no_hits(self, maker: Maker) -> None:
        """Find nothing where there is nothing."""
        assert maker([]).retrieve(QUESTIONS[0]) == []

    @pytest.mark.parametrize("what", ODD_QUESTIONS)
    def test_odd_questions(self, maker: Maker, nodes: list[TextNode], what: str) -> None:
        """Give hits or none for a question that says nothing; raise nothing."""
        found = maker(nodes).retrieve(ODD_QUESTIONS[what])
        assert len(found) <= 5

    @needs(lambda claims: claims.heeds_filters)
    def test_filters_are_heeded(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Hand `context.run(query).filters` to whom you ask, and show no text of a chunk that does not satisfy them.

        A retriever that cannot declares the capability `filters: False`; one that knows a few operators, these.
        """
        for text in (*FILTERS, NOBODY):
            wanted = as_llama(text)
            if not self.claims().takes(wanted):
                continue
            passes = matcher(wanted)
            allowed = [node for node in nodes if passes(node.metadata)]
            found = maker(nodes, 16, wanted).retrieve(QUESTIONS[0])
            assert bool(found) == bool(allowed), text
            assert set(_ids(found)) <= {node.node_id for node in allowed}, text
            shown = "\n".join(hit.node.get_content() for hit in found)
            hidden = {node.text for node in nodes} - {node.text for node in allowed}
            assert [one for one in hidden if one in shown] == [], text

    def test_a_leg_that_fails_is_no_silence(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Answer with what is left where a leg fails, or raise; an empty answer would say that the documents have none."""
        for broken in (["dense"], ["keyword"], ["dense", "keyword"]):
            retriever = maker(nodes)
            for name in broken:
                maker.legs[name].error = ConnectionError("the store is away")
            told = ""
            try:
                found = retriever.retrieve(QUESTIONS[0])
            except Exception as error:  # noqa: BLE001 - whatever it raises is told
                found, told = [], _chain(error)
            assert found or "away" in told, broken

    def test_as_a_leg_it_finds_the_same(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `search` of a `Leg` find what `retrieve` hands out, heed its filters, and `score` give what `search` gave, or None.

        A chunk that the leg does not hold has the score NaN.
        """
        retriever, query = maker(nodes), QueryBundle(QUESTIONS[0])
        assert maker.context is not None
        leg = retriever if isinstance(retriever, Leg) else maker.context.leg(retriever, "leg")
        assert leg.name
        ids, scores = leg.search(query, 5)
        assert 0 < len(ids) == len(scores) <= 5
        assert scores == sorted(scores, reverse=True)
        assert len(set(ids)) == len(ids)
        chunks = maker.context.hydrate(ids, scores)
        shown = leg.present(query, chunks) if isinstance(leg, Presents) else chunks
        assert set(_ids(shown)) <= set(ids)
        if same(shown, chunks):  # it hands out the chunks themselves
            assert same(retriever.retrieve(query), chunks)
        posts = as_llama(FILTERS[0])
        if isinstance(retriever, Leg) and self.claims().takes(posts):
            found, _ = leg.search(query, 16, posts)
            assert {node.metadata["category"] for node in nodes if node.node_id in found} == {"post"}
        scored = leg.score(query, [*ids, "unknown"])
        assert scored is None or scored == pytest.approx([*scores, math.nan], nan_ok=True)

    def test_stages_have_names(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Name the stages that you enter in the trace, and leave them; what they tell is shown to people."""
        maker(nodes).retrieve(QUESTIONS[0])
        assert all(stage.name and stage.closed and stage.status in ("ok", "skipped", "degraded") for stage in maker.run.stages)


def _ids(found: list[NodeWithScore]) -> list[str]:
    return [hit.node.node_id for hit in found]


def _chain(error: BaseException | None) -> str:
    """An error with its causes."""
    return "" if error is None else f"{error}\n{_chain(error.__cause__ or error.__context__)}"
