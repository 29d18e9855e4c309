"""Retrievers and rerankers that are each wrong in one way, with the tests of the conformance suites that have to fail for them.

Not collected by itself: `tests/testing/test_asked_conformance_catches.py` runs it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from ragkit import Component, Options, RerankerOptions
from ragkit.testing.conformance import RerankerSuite, RetrieverSuite

FAILS: dict[str, list[str]] = {}
"""Of each class, the tests that have to fail."""


def fails(*tests: str) -> Callable[[type], type]:
    def note(suite: type) -> type:
        FAILS[suite.__name__] = list(tests)
        return suite

    return note


# Retrievers


class Sound(BaseRetriever):
    """The dense leg; a subclass does one thing wrong with the hits."""

    def __init__(self, context: Any) -> None:
        super().__init__()
        self.context = context

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        run = self.context.run(query_bundle)
        ids, scores = self.context.legs["dense"].search(query_bundle, run.top_k, run.filters)
        return self.wrong(list(self.context.hydrate(ids, scores)), query_bundle)

    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        return hits


def retriever(made: Callable[[Any], Any], **claims: Any) -> Component:
    return Component("broken", Options, lambda options, context: made(context), capabilities=claims)


class TestSoundRetriever(RetrieverSuite):
    component = retriever(Sound)


class Unsorted(Sound):
    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        return hits[::-1]


@fails("test_the_best_come_first[paid leave of employees]", "test_as_a_leg_it_finds_the_same")
class TestUnsorted(RetrieverSuite):
    component = retriever(Unsorted)


class TooMany(Sound):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        ids, scores = self.context.legs["dense"].search(query_bundle, 16, self.context.run(query_bundle).filters)
        return list(self.context.hydrate(ids, scores))


@fails("test_top_k_bounds_the_hits", "test_odd_questions[emoji]")
class TestTooMany(RetrieverSuite):
    component = retriever(TooMany)


class Strange(Sound):
    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text=hit.node.get_content()), score=hit.score) for hit in hits]


@fails("test_hits_are_chunks_of_the_index", "test_the_same_question_has_the_same_hits")
class TestStrange(RetrieverSuite):
    component = retriever(Strange)


class Moody(Sound):
    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=hit.node, score=None) for hit in random.sample(hits, len(hits))]


@fails("test_the_same_question_has_the_same_hits", "test_the_async_twin_gives_the_same", "test_threads_may_share_it")
class TestMoody(RetrieverSuite):
    component = retriever(Moody)


class Forgetful(Sound):
    """Keeps the question in itself."""

    question = ""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        if not self.question:
            self.question = query_bundle.query_str
        return super()._retrieve(QueryBundle(self.question))


@fails("test_threads_may_share_it")
class TestForgetful(RetrieverSuite):
    component = retriever(Forgetful)


class OtherTwin(Sound):
    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._retrieve(query_bundle)[1:]


@fails("test_the_async_twin_gives_the_same")
class TestOtherTwin(RetrieverSuite):
    component = retriever(OtherTwin)


class Scribbling(Sound):
    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        for hit in hits:
            hit.node.metadata["found"] = True
        return hits


@fails("test_the_chunks_stay_as_they_are")
class TestScribbling(RetrieverSuite):
    component = retriever(Scribbling)


class Certain(Sound):
    def wrong(self, hits: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        best = hits[0].score or 1.0
        return [NodeWithScore(node=hit.node, score=(hit.score or 0.0) / best) for hit in hits]


@fails("test_an_empty_index_has_no_hits")
class TestCertain(RetrieverSuite):
    component = retriever(Certain)


class Reading(Sound):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        query_bundle.query_str.encode("utf-8")
        return super()._retrieve(query_bundle)


@fails("test_odd_questions[half a surrogate pair]")
class TestReading(RetrieverSuite):
    component = retriever(Reading)


class Deaf(Sound):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        ids, scores = self.context.legs["dense"].search(query_bundle, self.context.run(query_bundle).top_k)
        return list(self.context.hydrate(ids, scores))


@fails("test_filters_are_heeded")
class TestDeaf(RetrieverSuite):
    component = retriever(Deaf)


class TestHonestlyDeaf(RetrieverSuite):
    component = retriever(Deaf, filters=False)


class Silent(Sound):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        try:
            return super()._retrieve(query_bundle)
        except ConnectionError:
            return []


@fails("test_a_leg_that_fails_is_no_silence")
class TestSilent(RetrieverSuite):
    component = retriever(Silent)


class DeafLeg(Sound):
    name = "deaf"

    def search(self, query: QueryBundle, k: int, filters: Any = None) -> Any:
        return self.context.legs["dense"].search(query, k)

    def score(self, query: QueryBundle, ids: list[str]) -> list[float]:
        return [0.0]


@fails("test_as_a_leg_it_finds_the_same")
class TestDeafLeg(RetrieverSuite):
    component = retriever(DeafLeg)


class Nameless(Sound):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with self.context.run(query_bundle).stage(""):
            return super()._retrieve(query_bundle)


@fails("test_stages_have_names")
class TestNameless(RetrieverSuite):
    component = retriever(Nameless)


@fails("test_it_is_a_llamaindex_retriever")
class TestNoRetriever(RetrieverSuite):
    component = retriever(lambda context: lambda question: [])


# Rerankers


class SoundReranker(BaseNodePostprocessor):
    """By the length of the text; a subclass does one thing wrong."""

    _context: Any = PrivateAttr()

    def __init__(self, context: Any) -> None:
        super().__init__()
        self._context = context

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        scored = [NodeWithScore(node=hit.node, score=float(len(hit.node.get_content()))) for hit in nodes]
        return self.wrong(sorted(scored, key=lambda hit: -(hit.score or 0.0)), nodes, query_bundle)

    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        return hits


def reranker(made: Callable[[Any], Any], options: type[Options] = RerankerOptions) -> Component:
    return Component("broken", options, lambda options, context: made(context))


class TestSoundReranker(RerankerSuite):
    component = reranker(SoundReranker)


class Backwards(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        return hits[::-1]


@fails("test_the_best_come_first[paid leave of employees]")
class TestBackwards(RerankerSuite):
    component = reranker(Backwards)


class NotANumber(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        self._context.scores.put("model", "question", {"text": float("nan")})
        return [NodeWithScore(node=hit.node, score=float("nan")) for hit in hits]


@fails("test_the_best_come_first[paid leave of employees]", "test_the_score_cache_holds_numbers")
class TestNotANumber(RerankerSuite):
    component = reranker(NotANumber)


class Inventing(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="made up", id_="made-up"), score=1e9), *hits]


@fails("test_no_hit_is_invented_or_doubled", "test_a_single_hit", "test_odd_texts", "test_nothing_in_nothing_out")
class TestInventing(RerankerSuite):
    component = reranker(Inventing)


@fails("test_top_n_is_an_option")
class TestOwnOptions(RerankerSuite):
    component = reranker(SoundReranker, Options)


class Shuffling(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        return [NodeWithScore(node=hit.node, score=1.0) for hit in random.sample(hits, len(hits))]


@fails("test_the_same_question_has_the_same_order", "test_the_async_twin_gives_the_same", "test_threads_may_share_it")
class TestShuffling(RerankerSuite):
    component = reranker(Shuffling)


class Overwriting(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        for hit in given:
            hit.score = 0.0
        return hits


@fails("test_what_is_handed_in_stays_as_it_is")
class TestOverwriting(RerankerSuite):
    component = reranker(Overwriting)


class Dividing(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        best = given[0].score
        return [NodeWithScore(node=hit.node, score=(hit.score or 0.0) / best) for hit in hits]  # type: ignore[operator]


@fails("test_nothing_in_nothing_out", "test_hits_of_equal_score_or_none[None]", "test_hits_of_equal_score_or_none[0.0]")
class TestDividing(RerankerSuite):
    component = reranker(Dividing)


class Asking(SoundReranker):
    def wrong(self, hits: list[NodeWithScore], given: list[NodeWithScore], query: QueryBundle | None) -> list[NodeWithScore]:
        query.query_str.encode("utf-8")  # type: ignore[union-attr]
        for hit in hits:
            hit.node.get_content().encode("utf-8")
        return hits


@fails("test_without_a_question", "test_odd_questions[half a surrogate pair]", "test_odd_texts")
class TestAsking(RerankerSuite):
    component = reranker(Asking)


class Guessing(SoundReranker):
    def estimate_ms(self, query: QueryBundle, nodes: list[NodeWithScore]) -> float:
        return -1.0

    def prepare(self) -> None:
        pass


@fails("test_it_loads_once_and_estimates_times")
class TestGuessing(RerankerSuite):
    component = reranker(Guessing)


@fails("test_it_is_a_llamaindex_postprocessor")
class TestNoReranker(RerankerSuite):
    component = reranker(lambda context: object())
