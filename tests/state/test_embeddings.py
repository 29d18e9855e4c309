"""The embedding cache: bit for bit, by model and input, and never a bad vector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from llama_index.core.base.embeddings.base import BaseEmbedding

from ragkit.errors import ComponentError
from ragkit.state.cached_embedding import CachedEmbedding
from ragkit.state.embeddings import EmbeddingCache
from ragkit.state.hashing import digest, input_key
from ragkit.state.layers import LayeredCache
from ragkit.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]


@settings(max_examples=25, deadline=None)
@given(vector=arrays(np.float32, 8, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_what_comes_back_is_what_was_kept(tmp_path_factory: pytest.TempPathFactory, vector: np.ndarray[Any, Any]) -> None:
    cache = EmbeddingCache(SqliteStorage(tmp_path_factory.mktemp("cache")))
    cache.put("model", {digest("text"): vector})
    assert cache.get("model", [digest("text")])[digest("text")].tobytes() == vector.astype("<f4").tobytes()
    assert cache.get("another model", [digest("text")]) == {}
    cache.close()


class Counting(BaseEmbedding):
    """Embeds a text as its length and counts how often it is asked."""

    asked: list[str]

    def _get_text_embedding(self, text: str) -> list[float]:
        self.asked.append(text)
        return {"nan": [float("nan"), 1.0], "zero": [0.0, 0.0], "none": []}.get(text, [float(len(text)), 1.0])

    def _get_query_embedding(self, query: str) -> list[float]:
        self.asked.append(f"query: {query}")
        return [1.0, float(len(query))]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


@pytest.fixture
def inner() -> Counting:
    return Counting(model_name="counting", asked=[])


@pytest.fixture
def cached(storage: Opener, inner: Counting) -> CachedEmbedding:
    return CachedEmbedding(lambda: inner, LayeredCache([], EmbeddingCache(storage())), "m" * 32, "counting")


def test_a_text_goes_through_the_model_once(cached: CachedEmbedding, inner: Counting) -> None:
    assert cached.get_text_embedding_batch(["a", "bb", "a"]) == [[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]]
    assert cached.get_text_embedding_batch(["bb", "ccc"]) == [[2.0, 1.0], [3.0, 1.0]]
    assert inner.asked == ["a", "bb", "ccc"]
    assert (cached.embedded, cached.cache_hits) == (3, 2)


def test_the_model_is_not_loaded_for_what_is_known(storage: Opener, inner: Counting) -> None:
    cache = LayeredCache([], EmbeddingCache(storage()))
    CachedEmbedding(lambda: inner, cache, "m" * 32, "counting").get_text_embedding("a")

    def load() -> BaseEmbedding:
        raise AssertionError("loaded")

    assert CachedEmbedding(load, cache, "m" * 32, "counting").get_text_embedding("a") == [1.0, 1.0]
    with pytest.raises(AssertionError, match="loaded"):
        CachedEmbedding(load, cache, "n" * 32, "counting").get_text_embedding("a")


def test_a_query_is_not_a_text(cached: CachedEmbedding, inner: Counting) -> None:
    cached.get_text_embedding("word")
    assert cached.get_query_embedding("word") == cached.get_query_embedding("word") == [1.0, 4.0]
    assert inner.asked == ["word", "query: word"]


@pytest.mark.parametrize("bad", ["nan", "zero", "none"])
def test_a_bad_vector_is_an_error_and_never_kept(cached: CachedEmbedding, inner: Counting, bad: str) -> None:
    for _ in range(2):
        with pytest.raises(ComponentError, match=f"no usable vector for the text that begins '{bad}'"):
            cached.get_text_embedding_batch(["good", bad])
    assert inner.asked.count(bad) == 2, "it was asked again, so it was not kept"


def test_what_is_known_is_known_by_the_key_of_the_chunk(cached: CachedEmbedding, inner: Counting) -> None:
    cached.get_text_embedding_batch(["a", "bb"])
    known = cached.known([input_key("a"), input_key("bb"), input_key("ccc")])
    assert {key: vector.tolist() for key, vector in known.items()} == {input_key("a"): [1.0, 1.0], input_key("bb"): [2.0, 1.0]}
    assert inner.asked == ["a", "bb"], "it computes nothing"


def test_a_cache_that_cannot_be_read_knows_nothing(tmp_path: Path, inner: Counting) -> None:
    cached = CachedEmbedding(lambda: inner, LayeredCache([], EmbeddingCache(SqliteStorage(tmp_path))), "m" * 32, "counting")
    cached.get_text_embedding("a")
    cached._cache.close()
    with (tmp_path / "embeddings.db").open("r+b") as file:
        file.write(b"no database" * 1_000)
    assert cached.known([input_key("a")]) == {}
