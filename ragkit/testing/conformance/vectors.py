"""The suite for vector stores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ragkit.components import ReturnsVectors
from ragkit.errors import RagkitError
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.content import ContentTests
from ragkit.testing.conformance.filtering import FilteringTests
from ragkit.testing.conformance.keeping import KeepingTests
from ragkit.testing.conformance.searching import SearchingTests
from ragkit.testing.conformance.stores import MANY, Opened, chunk, uid, uids
from ragkit.testing.conformance.suite import Opener
from ragkit.testing.conformance.writing import WritingTests


class VectorStoreSuite(WritingTests, SearchingTests, FilteringTests, ContentTests, KeepingTests):
    """What a vector store has to be: similarities as NumPy has them, under every metric, and everything written is found."""

    def test_similarities_equal_numpys(self, metric: str, opener: Opener) -> None:
        """Return the cosine, the inner product, or minus the squared Euclidean distance, within 0.001.

        A client's distance has to be turned round (Chroma: 1 − distance), its score perhaps undone. Vectors and questions
        come in any length: a client that expects unit vectors needs them normalised, for `cosine` alone.
        """
        random = np.random.default_rng(1)
        vectors = random.normal(size=(300, 24)) * random.uniform(0.2, 3.0, size=(300, 1))
        store = opener(metric, metric=metric)
        store.put(*(chunk(f"{i}", vector=vector) for i, vector in enumerate(vectors.tolist())))
        row = {uid(f"{i}"): i for i in range(300)}
        for question in random.normal(size=(5, 24)) * 2:
            true = similarities(metric, question, vectors)
            for k in (10, 300):
                ids, scores = store.search(question.tolist(), k)
                assert len(set(ids)) == k
                assert scores == pytest.approx(true[[row[id_] for id_ in ids]], abs=1e-3)
                assert scores == pytest.approx(np.sort(true)[::-1][:k], abs=1e-3)

    @needs(lambda claims: claims.other_metrics)
    def test_a_metric_that_is_not_claimed_is_refused(self, other_metric: str, options: Any) -> None:
        """Let the options refuse a `metric` that the store does not have, so that it is an error of `ragkit check`."""
        with pytest.raises(ValidationError):
            self.component.options.model_validate({**options, "metric": other_metric})

    def test_vectors_that_are_nearly_alike_are_all_found(self, metric: str, opener: Opener) -> None:
        """Find everything when everything is asked for. A graph of vectors that are nearly alike may fall in pieces: where a
        search brings too few, compare the rest exactly."""
        store = opener(metric, metric=metric)
        store.put(*(chunk(f"{i}", vector=[1.0, 100.0 + i]) for i in range(1_100)))
        ids, scores = store.search([1.0, 5.0], 2_000)
        assert len(set(ids)) == len(ids) == 1_100
        assert scores == sorted(scores, reverse=True)

    @needs(lambda claims: claims.returns_vectors)
    def test_vectors_come_back_by_id(self, metric: str, opener: Opener) -> None:
        """Return the vectors of those ids that are there, by id, as they are now (`cosine` may keep them at length 1)."""
        vectors = np.random.default_rng(2).normal(size=(30, 12))
        store = opener(metric, metric=metric)
        given = store.store
        assert isinstance(given, ReturnsVectors)
        assert dict(given.vectors([uid("0")])) == {}
        store.put(*(chunk(f"{i}", vector=vector) for i, vector in enumerate((vectors * 2).tolist())))
        store.put(*(chunk(f"{i}", vector=vector) for i, vector in enumerate(vectors[:20].tolist())))
        asked = [uid(f"{i}") for i in (3, 29, 3, 0)]
        found = given.vectors([*asked, uid("unknown")])
        assert sorted(found) == sorted(set(asked))
        for number in (3, 29, 0):
            true = vectors[number] * (2 if number >= 20 else 1)
            have = np.array([float(value) for value in found[uid(f"{number}")]])
            if metric == "cosine":
                true, have = true / np.linalg.norm(true), have / np.linalg.norm(have)
            assert have == pytest.approx(true, abs=1e-3)
        assert len(given.vectors([uid(f"{i}") for i in range(30)])) == 30
        assert dict(given.vectors([])) == {}

    @needs(lambda claims: claims.returns_vectors and claims.deletes)
    def test_vectors_of_deleted_chunks_are_gone(self, opener: Opener) -> None:
        """Return no vector for a chunk that was deleted."""
        store = opener()
        store.put(chunk("a"), chunk("b"))
        store.remove(uid("a"))
        assert isinstance(store.store, ReturnsVectors)
        assert sorted(store.store.vectors(uids("ab"))) == uids("b")

    def test_vectors_are_offered_where_they_are_claimed(self, opener: Opener) -> None:
        """Make the capability `vectors` say whether there is a method `vectors` (`ragkit.components.ReturnsVectors`)."""
        assert isinstance(opener().store, ReturnsVectors) == self.claims().returns_vectors

    def test_another_dimension_is_an_error_that_loses_nothing(self, opener: Opener) -> None:
        """Raise a `ComponentError` that speaks of the dimension and says what to do, for writes and for questions, before
        anything is changed."""
        store = opener()
        store.put(chunk("a", vector=[1.0, 0.0, 0.0]), chunk("b", vector=[0.0, 1.0, 0.0]))
        names = "ca" if self.claims().upserts else "c"  # without it, an update begins with a deletion
        for vector in ([1.0, 0.0], [1.0, 0.0, 0.0, 0.0]):
            for name in names:
                with pytest.raises(RagkitError, match="dimension") as caught:
                    store.put(chunk(name, vector=vector))
                assert caught.value.cure
            with pytest.raises(RagkitError, match="dimension"):
                store.search(vector)
        store.flush()
        for reopened in (False, True):
            store = opener.again(store) if reopened else store
            assert (store.ids(), store.count()) == (uids("ab"), 2)
            assert store.search([1.0, 0.1, 0.0])[0] == [uid("a"), uid("b")]

    def test_a_question_without_a_vector_is_an_error(self, opener: Opener) -> None:
        """Raise a `ComponentError` for a query without `query_embedding`."""
        from llama_index.core.vector_stores.types import VectorStoreQuery

        store = opener()
        store.put(chunk("a"))
        with pytest.raises(RagkitError):
            store.ask(VectorStoreQuery(query_str="words", similarity_top_k=3))

    @classmethod
    def declares(cls) -> set[str]:
        return {"metrics", "vectors"}

    def _finds(self, store: Opened, held: dict[int, Any]) -> None:
        numbers, vectors = np.array(list(held)), np.array(list(held.values()))
        found = 0
        for question in np.random.default_rng(6).normal(size=(10, 32)):
            best = numbers[np.argsort(-similarities(store.metric or "", question, vectors))[:10]]
            ids, _ = store.search(question.tolist(), 10)
            assert set(ids) <= {uid(f"{number}") for number in numbers}
            found += len(set(ids) & {uid(f"{number}") for number in best})
        assert found >= 95
        assert len(set(store.search([1.0] * 32, MANY)[0])) == len(held)


def similarities(metric: str, question: Any, vectors: Any) -> Any:
    """The similarity of `question` (dim) to each of `vectors` (n, dim), as NumPy has it."""
    if metric == "l2":
        return -((vectors - question) ** 2).sum(axis=1)
    products = vectors @ question
    return products if metric == "dot" else products / np.linalg.norm(vectors, axis=1) / np.linalg.norm(question)
