"""The embedding that everybody uses: the configured one behind the cache, loaded when a text is not in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import PrivateAttr
from numpy.typing import NDArray

from ragkit.components import EmbedsQueries
from ragkit.errors import ComponentError, StateError
from ragkit.state.hashing import digest, input_key
from ragkit.state.layers import LayeredCache
from ragkit.state.together import Together

_Vector = TypeVar("_Vector", bound=Sequence[float])
_BATCH = 512
"""Texts that LlamaIndex hands over at once: as many as a model can sort by length."""
_QUERIES = 64
"""Questions of as many threads that are embedded together at most."""
_TRIED = 3
"""A model that fails for so many texts, one by one and from the first on, fails for all."""


class CachedEmbedding(BaseEmbedding):
    """A LlamaIndex embedding whose vectors come from the cache where it has them.

    `embedded` counts the texts that went through the model, `cache_hits` those that did not; queries count in neither.
    Without `keeps_queries` every query goes through the model, and its vector is not kept. Queries of several threads go
    through the model together; without `batches_queries`, each alone.
    """

    embedded: int = 0
    cache_hits: int = 0
    keeps_queries: bool = True
    batches_queries: bool = True

    _load: Callable[[], BaseEmbedding] = PrivateAttr()
    _inner: BaseEmbedding | None = PrivateAttr(default=None)
    _cache: LayeredCache = PrivateAttr()
    _identity: str = PrivateAttr()
    _lock: Any = PrivateAttr()
    _computing: Any = PrivateAttr()
    _prepared: set[bytes] = PrivateAttr()
    _together: Together[str, NDArray[np.float32]] = PrivateAttr()

    def __init__(
        self, load: Callable[[], BaseEmbedding], cache: LayeredCache, identity: str, name: str, *, keeps_queries: bool = True
    ) -> None:
        """`load` makes the real embedding, `identity` is the fingerprint of the model under which vectors are kept."""
        super().__init__(model_name=name, embed_batch_size=_BATCH)
        self.keeps_queries = keeps_queries
        self._load = load
        self._cache = cache
        self._identity = identity
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._prepared = set()
        self._together = Together(self._queried, _QUERIES)

    @classmethod
    def class_name(cls) -> str:
        return "CachedEmbedding"

    @property
    def inner(self) -> BaseEmbedding:
        """The real embedding, loaded once."""
        with self._lock:
            if self._inner is None:
                self._inner = self._load()
            return self._inner

    def known(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors (dim,) of those inputs (see `input_key`) that are in the cache; none where it cannot be read."""
        try:
            return self._cache.get(self._identity, keys)
        except StateError:
            return {}

    def prepare(self, texts: Sequence[str]) -> dict[str, str]:
        """Compute and keep the vectors that are not known yet; returns the texts that have none, each with the reason.

        Where the model fails for many at once, they are tried one by one; its error is raised where it fails for all.
        """
        keys = {text: input_key(text) for text in texts}
        lacking = set(self._cache.lacking(self._identity, list(dict.fromkeys(keys.values()))))
        missing = [text for text, key in keys.items() if key in lacking]
        if not missing:
            return {}
        vectors, failed = self._computed(missing)
        fresh: dict[bytes, NDArray[np.float32]] = {}
        for text, vector in vectors.items():
            checked = np.asarray(vector, dtype=np.float32)
            if _usable(checked):
                fresh[keys[text]] = checked
            else:
                failed[text] = self._useless(text).message
        self._cache.put(self._identity, fresh)
        with self._lock:
            self.embedded += len(fresh)
            self._prepared.update(fresh)
        return failed

    def _computed(self, texts: list[str]) -> tuple[dict[str, Embedding], dict[str, str]]:
        """The vectors of the texts, and why some have none."""
        model = self.inner
        try:
            with self._computing:
                return dict(zip(texts, self._counted(texts, model.get_text_embedding_batch(texts)), strict=True)), {}
        except Exception as error:  # noqa: BLE001 - a model may raise anything; it may be the failure of one text
            first = error
        if len(texts) == 1:
            return {}, {texts[0]: _failure(first)}
        vectors: dict[str, Embedding] = {}
        failed: dict[str, str] = {}
        for text in texts:
            try:
                with self._computing:
                    vectors[text] = self._counted([text], model.get_text_embedding_batch([text]))[0]
            except Exception as error:  # noqa: BLE001 - as above
                failed[text] = _failure(error)
            if len(failed) == _TRIED and not vectors:
                raise first
        return vectors, failed

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        keys = [input_key(text) for text in texts]
        with self._lock:
            prepared = self._prepared.intersection(keys)
            self._prepared -= prepared
        known: dict[bytes, Any] = self._cache.get(self._identity, list(prepared), counted=False)
        known |= self._cache.get(self._identity, list(dict.fromkeys(key for key in keys if key not in prepared)))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            with self._computing:
                vectors = self.inner.get_text_embedding_batch(list(missing.values()))
            fresh = dict(zip(missing, self._checked(list(missing.values()), vectors), strict=True))
            self._cache.put(self._identity, fresh)
            known.update(fresh)
        with self._lock:
            self.embedded += len(missing)
            self.cache_hits += len(texts) - len(missing) - len(prepared)
        return [_plain(known[key]) for key in keys]

    def questions(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of texts as questions; a single one shares its batch with those of other threads."""
        return [self._get_query_embedding(texts[0])] if len(texts) == 1 else [_plain(vector) for vector in self._queried(texts)]

    def fresh(self, texts: Sequence[str]) -> list[Embedding]:
        """The vectors of texts that are nobody's chunks: computed by the model, and not kept."""
        with self._computing:
            vectors = self.inner.get_text_embedding_batch(list(texts))
        return [_plain(vector) for vector in self._checked(texts, vectors)]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> Embedding:
        known = self._cache.get(self._identity, [digest("query", query)]) if self.keeps_queries else {}
        for vector in known.values():
            return _plain(vector)
        return _plain(self._together(query) if self.batches_queries else self._queried([query])[0])

    def _queried(self, queries: Sequence[str]) -> list[NDArray[np.float32]]:
        """The vectors of questions that are not known yet, which are kept."""
        model, distinct = self.inner, list(dict.fromkeys(queries))
        if isinstance(model, EmbedsQueries):
            vectors = model.query_embeddings(distinct)
        else:
            vectors = [model.get_query_embedding(query) for query in distinct]
        fresh = dict(zip(distinct, self._checked(distinct, vectors), strict=True))
        if self.keeps_queries:
            # a question is answered also where its vector cannot be kept (a full disk, a read-only state)
            with suppress(StateError):
                kept = {digest("query", query): vector for query, vector in fresh.items()}
                self._cache.put(self._identity, kept, queries=True)
        return [fresh[query] for query in queries]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        import asyncio

        return await asyncio.to_thread(self._get_query_embedding, query)

    def _checked(self, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
        """As float32, or `ComponentError` for a vector that is missing, not finite or all zero."""
        checked = [np.asarray(vector, dtype=np.float32) for vector in self._counted(texts, vectors)]
        for text, vector in zip(texts, checked, strict=True):
            if not _usable(vector):
                raise self._useless(text)
        return checked

    def _counted(self, texts: Sequence[str], vectors: Sequence[_Vector]) -> Sequence[_Vector]:
        if len(vectors) != len(texts):
            raise ComponentError(
                f"the embedding returned {len(vectors)} vectors for {len(texts)} texts", component=self.model_name
            )
        return vectors

    def _useless(self, text: str) -> ComponentError:
        return ComponentError(
            f"the embedding gave no usable vector for the text that begins {text[:60]!r}",
            component=self.model_name,
            cure="try another model; nothing was stored for this text",
        )


def _failure(error: Exception) -> str:
    return " ".join(f"the embedding failed for it: {type(error).__name__}: {error}".split())


def _usable(vector: NDArray[np.float32]) -> bool:
    """Whether it has numbers, all of them finite and not all of them 0."""
    return bool(vector.size and np.isfinite(vector).all() and vector.any())


def _plain(vector: np.ndarray[Any, np.dtype[np.float32]]) -> Embedding:
    return [float(value) for value in vector.tolist()]
