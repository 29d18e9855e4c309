"""The suite for retrievers: order, number, ties, filters, odd questions, failing legs, and what they tell the trace."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

from ragkit.components import Leg
from ragkit.testing.conformance.asked import AskedSuite, Maker
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.corpus import ODD_QUESTIONS, QUESTIONS, pictures

if TYPE_CHECKING:
    from ragkit.testing.legs import MemoryLeg

_POSTS = MetadataFilters(filters=[MetadataFilter(key="category", value="post", operator=FilterOperator.EQ)])


class RetrieverSuite(AskedSuite):
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
        """Hand out at most `context.run(query).top_k` hits, and the same ones first for a larger number."""
        everything = _ids(maker(nodes, 16).retrieve(QUESTIONS[0]))
        for k in (1, 2, 5):
            found = _ids(maker(nodes, k).retrieve(QUESTIONS[0]))
            assert 0 < len(found) <= k
            assert set(found) <= set(everything)

    def test_the_same_question_has_the_same_hits(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Break ties by something that stays, such as the id; neither time, hashes nor the order of documents may decide."""
        for question in QUESTIONS:
            first = _told(maker(nodes).retrieve(question))
            assert _told(maker(nodes).retrieve(question)) == first
            assert _told(maker([*nodes[8:], *nodes[:8]]).retrieve(question)) == first

    def test_the_async_twin_gives_the_same(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `aretrieve` do what `retrieve` does."""
        retriever = maker(nodes)
        for question in QUESTIONS:
            assert _told(asyncio.run(retriever.aretrieve(question))) == _told(maker(nodes).retrieve(question))

    def test_threads_may_share_it(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Keep what belongs to a question in local variables: many are asked at once."""
        alone = {question: _told(maker(nodes).retrieve(question)) for question in QUESTIONS}
        retriever = maker(nodes)
        with ThreadPoolExecutor(8) as pool:
            asked = [*QUESTIONS] * 8
            for question, found in zip(asked, pool.map(retriever.retrieve, asked), strict=True):
                assert _told(found) == alone[question]

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
        """Hand `context.run(query).filters` to whom you ask. A retriever that cannot declares the capability `filters: False`."""
        found = maker(nodes, 16, _POSTS).retrieve(QUESTIONS[0])
        assert found
        assert {hit.node.metadata["category"] for hit in found} == {"post"}

    def test_a_leg_that_fails_is_no_silence(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Answer with what is left where a leg fails, or raise; an empty answer would say that the documents have none."""
        retriever = maker(nodes)
        assert maker.context is not None
        dense: MemoryLeg = maker.context.legs["dense"]  # type: ignore[assignment]
        dense.error = ConnectionError("the store is away")
        told = ""
        try:
            found = retriever.retrieve(QUESTIONS[0])
        except Exception as error:  # noqa: BLE001 - whatever it raises is told
            found, told = [], f"{error} {error.__cause__}"
        assert found or "away" in told

    def test_as_a_leg_it_finds_the_same(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Let `search` of a `Leg` find what `retrieve` hands out, heed its filters, and `score` give a number per id or None."""
        retriever = maker(nodes)
        assert maker.context is not None
        leg = retriever if isinstance(retriever, Leg) else maker.context.leg(retriever, "leg")
        assert leg.name
        ids, scores = leg.search(QueryBundle(QUESTIONS[0]), 5)
        assert 0 < len(ids) == len(scores) <= 5
        assert scores == sorted(scores, reverse=True)
        assert len(set(ids)) == len(ids)
        if isinstance(retriever, Leg) and self.claims().heeds_filters:
            posts, _ = leg.search(QueryBundle(QUESTIONS[0]), 16, _POSTS)
            assert {node.metadata["category"] for node in nodes if node.node_id in posts} == {"post"}
        scored = leg.score(QueryBundle(QUESTIONS[0]), ids)
        assert scored is None or len(scored) == len(ids)

    def test_stages_have_names(self, maker: Maker, nodes: list[TextNode]) -> None:
        """Name the stages that you enter in the trace; what they tell is shown to people."""
        maker(nodes).retrieve(QUESTIONS[0])
        assert all(stage.name and stage.status in ("ok", "skipped", "degraded") for stage in maker.run.stages)


def _ids(found: list[NodeWithScore]) -> list[str]:
    return [hit.node.node_id for hit in found]


def _told(found: list[NodeWithScore]) -> list[tuple[str, Any, str]]:
    return [(hit.node.node_id, None if hit.score is None else round(hit.score, 9), hit.node.get_content()) for hit in found]
