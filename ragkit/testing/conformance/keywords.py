"""The suite for keyword stores."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ragkit.components import ScoresIds, WeighsTerms
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.content import ContentTests
from ragkit.testing.conformance.filtering import FilteringTests
from ragkit.testing.conformance.keeping import KeepingTests
from ragkit.testing.conformance.searching import SearchingTests
from ragkit.testing.conformance.stores import Opened, chunk, uid, uids
from ragkit.testing.conformance.suite import Opener
from ragkit.testing.conformance.writing import WritingTests

FISH = {
    "a": "red fish swim with red fish",
    "b": "a blue fish",
    "c": "the bird flies over the blue sea and the red rocks",
    "d": "nothing of interest here",
    "e": "",
}


class KeywordStoreSuite(WritingTests, SearchingTests, FilteringTests, ContentTests, KeepingTests):
    """What a keyword store has to be: a hit has a word of the question, and its score is the same wherever it is asked for."""

    def test_is_asked_by_text(self, opener: Opener) -> None:
        """Set `is_embedding_query = False`, and need neither an embedding of the chunks nor of the question."""
        store = opener()
        bare = chunk("a", "common red")
        bare.embedding = None
        store.put(bare)
        assert not store.store.is_embedding_query
        assert store.about("red") == uids("a")

    def test_never_a_hit_without_a_word_of_the_question(self, opener: Opener) -> None:
        """Return hits of a score above 0 only: 0 says that no word occurs, and a hit without one is noise in every fusion."""
        store = _fish(opener)
        ids, scores = store.search("fish", 100)
        assert sorted(ids) == uids("ab")
        assert min(scores) > 0
        for question in ("zebra", "", "…!?", " \n"):
            assert store.search(question, 100) == ([], []), question

    def test_finds_any_word_of_the_question(self, opener: Opener) -> None:
        """Join the words of a question by `or`: a hit has at least one. Read it as words, not as a query language."""
        store = _fish(opener)
        assert store.about("sea fish zebra") == uids("abc")
        for question in ("sea AND fish", "sea -fish", '"sea" (fish', "sea fish~ ^ *:* [x TO", "NOT sea: fish /x"):
            assert set(uids("abc")) >= set(store.about(question)) >= set(uids("c")), question

    def test_more_and_rarer_words_weigh_more(self, opener: Opener) -> None:
        """Score as BM25 does: a chunk with more words of the question first, a rare word before a common one."""
        store = _fish(opener)
        assert store.search("red fish")[0][0] == uid("a")
        assert store.search("blue sea")[0] == [uid("c"), uid("b")]
        store.put(*(chunk(f"{i}", f"common filler{i}") for i in range(30)), chunk("rare", "scarce filler"))
        assert store.search("common scarce")[0][0] == uid("rare")

    @needs(lambda claims: claims.scores_ids)
    def test_scores_of_given_ids_equal_those_of_a_search(self, opener: Opener) -> None:
        """Let `score_ids` return for each id, in the order given, the score that a search gives it; 0 for all others."""
        store = _fish(opener)
        scorer = store.store
        assert isinstance(scorer, ScoresIds)
        for question in ("red fish", "blue", "sea sea blue", "fish fish fish red", "zebra", ""):
            scores = dict(zip(*store.search(question, 100), strict=True))
            asked = [uid("d"), uid("a"), uid("unknown"), uid("e"), uid("c"), uid("b"), uid("a")]
            assert scorer.score_ids(question, asked) == pytest.approx([scores.get(id_, 0.0) for id_ in asked], abs=1e-5)
        assert list(scorer.score_ids("red", [])) == []

    @needs(lambda claims: claims.scores_ids and claims.deletes)
    def test_scores_follow_updates_and_deletions(self, opener: Opener) -> None:
        """Let `score_ids` and `search_ids` answer from the same state: nothing of a chunk's former text, 0 for a deleted one."""
        store = _fish(opener)
        store.put(chunk("a", "green frogs"))
        store.remove(uid("b"))
        assert isinstance(store.store, ScoresIds)
        assert list(store.store.score_ids("fish", uids("ab"))) == [0.0, 0.0]
        assert store.store.score_ids("green", [uid("a")])[0] > 0
        assert (store.about("fish"), store.about("frogs"), store.about("blue")) == ([], uids("a"), uids("c"))

    def test_scores_are_offered_where_they_are_claimed(self, opener: Opener) -> None:
        """Make the capability `score_by_id` say whether there is a method `score_ids` (`ragkit.components.ScoresIds`)."""
        assert isinstance(opener().store, ScoresIds) == self.claims().scores_ids

    def test_weighs_its_terms(self, opener: Opener) -> None:
        """Where the store is a `WeighsTerms`: read texts and questions alike, and weigh a term the more the fewer chunks have
        it, the most where none has."""
        store = _fish(opener)
        terms = store.store
        if isinstance(terms, WeighsTerms):
            read = terms.terms("Red fish and RED rocks")
            assert read == terms.terms("Red fish and RED rocks")
            assert [read.count(term) for term in terms.terms("red")] == [2]
            assert terms.terms("") == []
            fish, sea, unseen = terms.idf([*terms.terms("fish"), *terms.terms("sea"), "unseenword"])
            assert 0 <= fish < sea < unseen
            assert list(terms.idf([])) == []

    @pytest.mark.parametrize("name", ["validate_email", "RFC 2616", "v1.2.3", "HTTPServer2", "app.include_router", "C3PO-x86_64"])
    def test_identifiers_are_found(self, name: str, opener: Opener) -> None:
        """Cut texts so that a name or version finds its chunk, and scores it above any that has parts of it."""
        store = opener()
        others = (
            "validate the phone",
            "an email",
            "RFC 7231",
            "error 2617",
            "v1.2.4",
            "v2.1.3",
            "HTTP client",
            "include it",
            "x86",
        )
        store.put(chunk("a", f"See how {name} works."), *(chunk(other, f"See how {other} works.") for other in others))
        for question in (name, name.lower(), f"where is {name}?"):
            ids, scores = store.search(question)
            assert ids[0] == uid("a"), question
            assert scores[0] > max(scores[1:], default=0), question

    @pytest.mark.parametrize(
        ("text", "words", "missing"),
        [
            ("我喜欢机器学习和自然语言处理。", ("机器学习", "学习", "语言"), "历史"),
            ("このデータベースは検索を速くします。", ("データベース", "検索", "データ"), "カメラ"),
        ],
        ids=["zh", "ja"],
    )
    def test_words_without_spaces_are_found(self, text: str, words: tuple[str, ...], missing: str, opener: Opener) -> None:
        """Cut scripts that write no spaces into words or overlapping pairs of characters, in texts and in questions."""
        store = opener()
        store.put(chunk("a", text), chunk("b", "今天的天气很好"), chunk("c", "明日は晴れるでしょう"))
        for word in words:
            assert store.search(word)[0][:1] == [uid("a")], word
        assert uid("a") not in store.about(missing)

    def test_case_and_width_do_not_matter(self, opener: Opener) -> None:
        """Fold texts and questions alike (`str.casefold`)."""
        store = opener()
        store.put(chunk("a", "Straßen und GRÜNE Wiesen"), chunk("b", "nothing else"))
        for question in ("grüne", "GRÜNE", "Wiesen"):
            assert store.about(question) == uids("a"), question

    @needs(lambda claims: claims.sets_k1_b)
    def test_k1_and_b_do_what_they_say(self, opener: Opener) -> None:
        """Hand `k1` and `b` on: with `b = 0` a text's length counts nothing, with `k1 = 0` repetitions count nothing."""
        texts = {"once": "fish", "often": "fish fish fish fish", "long": "fish with much else besides that is never asked for"}
        for options, wanted in (({"b": 0.0}, {"once", "long"}), ({"k1": 0.0}, {"once", "often", "long"})):
            store = opener(next(iter(options)), **options)
            store.put(*(chunk(name, text) for name, text in texts.items()))
            scores = dict(zip(*store.search("fish"), strict=True))
            assert len({round(scores[uid(name)], 5) for name in wanted}) == 1, options
            assert len({round(score, 5) for score in scores.values()}) == (1 if len(wanted) == 3 else 2), options

    @needs(lambda claims: not claims.sets_k1_b)
    def test_k1_and_b_are_refused_where_they_are_not_claimed(self, options: Any) -> None:
        """Have no options `k1` and `b` where the store cannot heed them, so that setting one is an error of `ragkit check`."""
        for name in ("k1", "b"):
            with pytest.raises(ValidationError):
                self.component.options.model_validate({**options, name: 0.5})

    @classmethod
    def declares(cls) -> set[str]:
        return {"score_by_id", "k1_b"}

    def _finds(self, store: Opened, held: dict[int, Any]) -> None:
        for number in (*range(0, 10_000, 1_111), 9_999):
            assert store.about(f"word{number}") == (uids([f"{number}"]) if number in held else []), number
        assert store.about("group7") == uids(f"{number}" for number in held if number % 500 == 7)
        assert len(set(store.search("common", 10_000)[0])) == len(held)


def _fish(opener: Opener) -> Opened:
    store = opener()
    store.put(*(chunk(name, text) for name, text in FISH.items()))
    return store
