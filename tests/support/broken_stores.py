"""Stores that are each wrong in one way, with the tests of the conformance suites that have to fail for them.

Not collected by itself: `tests/testing/test_conformance_catches.py` runs it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragkit.components import Component
from ragkit.testing import MemoryKeywordStore, MemoryVectorStore, plugin
from ragkit.testing.conformance import KeywordStoreSuite, VectorStoreSuite

FAILS: dict[str, list[str]] = {}
"""Of each class, the tests that have to fail."""


def fails(*tests: str) -> Callable[[type], type]:
    def note(suite: type) -> type:
        FAILS[suite.__name__] = list(tests)
        return suite

    return note


def vectors(store: Callable[..., Any] = MemoryVectorStore, **claims: Any) -> Component:
    (sound,) = plugin.ragkit_vector_stores()
    return replace(
        sound,
        build=lambda options, context: store(context.folder, metric=options.metric),
        capabilities={**sound.capabilities, **claims},
    )


def keywords(store: Callable[..., Any] = MemoryKeywordStore, **claims: Any) -> Component:
    (sound,) = plugin.ragkit_keyword_stores()
    return replace(sound, build=lambda options, context: store(context.folder), capabilities={**sound.capabilities, **claims})


class TestSoundVectors(VectorStoreSuite):
    component = vectors()


class TestSoundKeywords(KeywordStoreSuite):
    component = keywords()


class UpdateLost(MemoryVectorStore):
    def upsert(self, nodes: Sequence[Any]) -> None:
        super().upsert([node for node in nodes if node.node_id not in set(self.ids())])


@fails("test_an_update_replaces_what_is_searched", "test_an_update_replaces_all_metadata", "test_vectors_come_back_by_id[dot]")
class TestUpdateLost(VectorStoreSuite):
    component = vectors(UpdateLost)


class MergesMetadata(MemoryVectorStore):
    def upsert(self, nodes: Sequence[Any]) -> None:
        for node in nodes:
            node.metadata = {**(self._load().get(node.node_id) or {"metadata": {}})["metadata"], **node.metadata}
        super().upsert(nodes)


@fails("test_an_update_replaces_all_metadata")
class TestMergesMetadata(VectorStoreSuite):
    component = vectors(MergesMetadata)


class AddsAgain(MemoryVectorStore):
    def count(self) -> int:
        return self.__dict__.setdefault("written", 0)

    def upsert(self, nodes: Sequence[Any]) -> None:
        self.__dict__["written"] = self.count() + len(nodes)
        super().upsert(nodes)


@fails("test_adding_the_same_again_changes_nothing", "test_deletes_by_id", "test_reopening_finds_the_same")
class TestAddsAgain(VectorStoreSuite):
    component = vectors(AddsAgain)


class KeepsDeleted(MemoryVectorStore):
    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **rest: Any) -> None:
        pass


@fails("test_deletes_by_id", "test_deletes_by_document", "test_threads_may_read_while_one_writes", "test_a_dropped_store_is_gone")
class TestKeepsDeleted(VectorStoreSuite):
    component = vectors(KeepsDeleted)


KeepsDeleted.drop = lambda self: self.clear()  # type: ignore[method-assign]


class DeletesByPrefix(MemoryVectorStore):
    def delete(self, ref_doc_id: str, **rest: Any) -> None:
        self.delete_nodes([id_ for id_, record in self._load().items() if record["document"].startswith(ref_doc_id)])


@fails("test_deletes_by_document")
class TestDeletesByPrefix(VectorStoreSuite):
    component = vectors(DeletesByPrefix)


class FailsOnUnknownIds(MemoryVectorStore):
    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **rest: Any) -> None:
        if set(node_ids or ()) - set(self.ids()):
            raise KeyError(node_ids)
        super().delete_nodes(node_ids, filters)


@fails("test_deletes_by_id")
class TestFailsOnUnknownIds(VectorStoreSuite):
    component = vectors(FailsOnUnknownIds)


class IgnoresFilters(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        return super().search_ids(replace(query, filters=None))


@fails("test_a_filter_lets_pass_what_matches[==]", "test_conditions_nest", "test_few_that_pass_still_fill_top_k")
class TestIgnoresFilters(VectorStoreSuite):
    component = vectors(IgnoresFilters)


@fails("test_a_filter_that_is_not_claimed_is_refused_or_right[>]", "test_a_filter_that_is_not_claimed_is_refused_or_right[not]")
class TestIgnoresWhatItDoesNotClaim(VectorStoreSuite):
    component = vectors(IgnoresFilters, filters=["==", "and"])


class FiltersLate(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        best, scores = super().search_ids(replace(query, filters=None))
        passing = set(super().search_ids(query)[0])
        kept = [(id_, score) for id_, score in zip(best, scores, strict=True) if id_ in passing]
        return [id_ for id_, _ in kept], [score for _, score in kept]


@fails("test_few_that_pass_still_fill_top_k", "test_a_filter_lets_pass_what_matches[>=]")
class TestFiltersLate(VectorStoreSuite):
    component = vectors(FiltersLate)


class WorstFirst(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        ids, scores = super().search_ids(query)
        return ids[::-1], scores[::-1]


@fails("test_the_best_come_first", "test_similarities_equal_numpys[cosine]")
class TestWorstFirst(VectorStoreSuite):
    component = vectors(WorstFirst)


class ReturnsDistances(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        ids, scores = super().search_ids(query)
        return ids, [2.718281828 ** (score - 1) for score in scores]


@fails("test_similarities_equal_numpys[cosine]", "test_similarities_equal_numpys[l2]")
class TestReturnsDistances(VectorStoreSuite):
    component = vectors(ReturnsDistances)


@fails("test_similarities_equal_numpys[dot]", "test_similarities_equal_numpys[l2]")
class TestKnowsOneMetric(VectorStoreSuite):
    component = vectors(lambda folder, metric: MemoryVectorStore(folder))


@fails("test_a_metric_that_is_not_claimed_is_refused[l2]")
class TestTakesAMetricThatItDoesNotClaim(VectorStoreSuite):
    component = vectors(metrics=["cosine", "dot"])


class ReturnsTooMany(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        return super().search_ids(replace(query, similarity_top_k=query.similarity_top_k + 1))


@fails("test_top_k_bounds_the_hits")
class TestReturnsTooMany(VectorStoreSuite):
    component = vectors(ReturnsTooMany)


class ShufflesTies(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        ids, scores = super().search_ids(query)
        shuffled = sorted(zip(ids, scores, strict=True), key=lambda hit: (-hit[1], random.random()))
        return [id_ for id_, _ in shuffled], [score for _, score in shuffled]


@fails("test_ties_are_broken_the_same_way_every_time")
class TestShufflesTies(VectorStoreSuite):
    component = vectors(ShufflesTies)


class RenamesIds(MemoryVectorStore):
    def search_ids(self, query: Any) -> Any:
        ids, scores = super().search_ids(query)
        return [id_.replace("-", "") for id_ in ids], scores


@fails("test_what_was_added_is_found_under_its_id")
class TestRenamesIds(VectorStoreSuite):
    component = vectors(RenamesIds)


class TakesAnyDimension(MemoryVectorStore):
    def upsert(self, nodes: Sequence[Any]) -> None:
        super(MemoryVectorStore, self).upsert(nodes)


@fails("test_another_dimension_is_an_error_that_loses_nothing")
class TestTakesAnyDimension(VectorStoreSuite):
    component = vectors(TakesAnyDimension)


class ForgetsOnClose(MemoryVectorStore):
    def flush(self) -> None:
        pass


@fails("test_reopening_finds_the_same", "test_what_was_flushed_survives_a_kill")
class TestForgetsOnClose(VectorStoreSuite):
    component = vectors(ForgetsOnClose)


class SeesNobodyElse(MemoryVectorStore):
    def _load(self) -> Any:
        return self._records if self._stamp or self._dirty else super()._load()


@fails("test_processes_may_read_while_one_writes")
class TestSeesNobodyElse(VectorStoreSuite):
    component = vectors(SeesNobodyElse)


class UpdatesInSteps(MemoryVectorStore):
    def upsert(self, nodes: Sequence[Any]) -> None:
        records, self._records = self._load(), {}
        time.sleep(0.01)
        self._records = records
        super().upsert(nodes)


@fails("test_threads_may_read_while_one_writes")
class TestUpdatesInSteps(VectorStoreSuite):
    component = vectors(UpdatesInSteps)


class HasNoMark(MemoryVectorStore):
    def marker(self) -> Mapping[str, str]:
        return {"owner": "everybody"}


@fails("test_keeps_the_mark_of_its_owner", "test_a_dropped_store_is_gone")
class TestHasNoMark(VectorStoreSuite):
    component = vectors(HasNoMark)


class SharesItsFolder(MemoryVectorStore):
    def __init__(self, folder: Any, **rest: Any) -> None:
        super().__init__(folder.parent, **rest)


@fails("test_two_collections_do_not_mix")
class TestSharesItsFolder(VectorStoreSuite):
    component = vectors(SharesItsFolder)


class ChokesOnNesting(MemoryVectorStore):
    def upsert(self, nodes: Sequence[Any]) -> None:
        if any(isinstance(value, dict) for node in nodes for value in node.metadata.values()):
            raise ValueError("flat metadata only")
        super().upsert(nodes)


@fails("test_takes_text_and_metadata_of_any_shape")
class TestChokesOnNesting(VectorStoreSuite):
    component = vectors(ChokesOnNesting)


@fails("test_the_async_methods_are_its_own", "test_stored_text_comes_back_as_it_was")
class TestClaimsTooMuch(VectorStoreSuite):
    component = vectors(**{"async": True, "stores_text": True})


@fails(
    "test_vectors_are_offered_where_they_are_claimed", "test_upsert_is_offered_where_it_is_claimed",
    "test_deleting_is_refused_where_it_is_not_claimed", "test_the_capabilities_are_declared",
)  # fmt: skip
class TestClaimsTooLittle(VectorStoreSuite):
    component = vectors(vectors=False, upsert=False, delete=False, processes="several")


class ScoresZero(MemoryKeywordStore):
    def _bm25(self, query: str, allowed: Any, records: Any) -> dict[str, float]:
        return {**dict.fromkeys(allowed, 0.0), **super()._bm25(query, allowed, records)}


@fails("test_never_a_hit_without_a_word_of_the_question", "test_an_update_replaces_what_is_searched")
class TestScoresZero(KeywordStoreSuite):
    component = keywords(ScoresZero)


class ScoresOtherwise(MemoryKeywordStore):
    def score_ids(self, query: str, ids: Sequence[str]) -> list[float]:
        return [score * 2 for score in super().score_ids(query, ids)]


@fails("test_scores_of_given_ids_equal_those_of_a_search")
class TestScoresOtherwise(KeywordStoreSuite):
    component = keywords(ScoresOtherwise)


class ReadsLettersOnly(MemoryKeywordStore):
    def terms(self, text: str) -> list[str]:
        return [word for word in text.lower().split() if word.isalpha()]


@fails("test_identifiers_are_found[RFC 2616]", "test_identifiers_are_found[v1.2.3]", "test_words_without_spaces_are_found[zh]")
class TestReadsLettersOnly(KeywordStoreSuite):
    component = keywords(ReadsLettersOnly)


class WeighsTheCommonMore(MemoryKeywordStore):
    def idf(self, terms: Sequence[str]) -> list[float]:
        return [1 / (1 + weight) for weight in super().idf(terms)]


@fails("test_weighs_its_terms")
class TestWeighsTheCommonMore(KeywordStoreSuite):
    component = keywords(WeighsTheCommonMore)


class WantsEveryWord(MemoryKeywordStore):
    def _scores(self, query: Any, allowed: Any, records: Any) -> dict[str, float]:
        scores = super()._scores(query, allowed, records)
        return {id_: score for id_, score in scores.items() if {*self.terms(query.query_str)} <= {*records[id_]["terms"]}}


@fails("test_finds_any_word_of_the_question", "test_scores_of_given_ids_equal_those_of_a_search")
class TestWantsEveryWord(KeywordStoreSuite):
    component = keywords(WantsEveryWord)


@fails("test_k1_and_b_do_what_they_say")
class TestClaimsK1(KeywordStoreSuite):
    component = keywords(k1_b=True)


class HidesItsTexts(MemoryKeywordStore):
    def ids(self) -> Iterator[str]:
        return iter([])


@fails("test_what_was_added_is_found_under_its_id", "test_counts_what_it_holds")
class TestHidesItsTexts(KeywordStoreSuite):
    component = keywords(HidesItsTexts)
