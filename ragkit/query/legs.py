"""The legs over the stores, as ids and scores.

A leg records itself in the trace under its name, drops what the ledger does not have any more, and fetches more until
it has as many hits as were asked or the store has no more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragkit.components import Hits
from ragkit.errors import QueryError
from ragkit.filters import operators
from ragkit.query.adapters import refused
from ragkit.query.run import QueryRun, run_of
from ragkit.query.trace import StageRecorder
from ragkit.stores import CANDIDATES

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery

    from ragkit.state.reader import Reader
    from ragkit.state.stores import StoreAdapter

FILTERED_CANDIDATES = CANDIDATES
"""How many of a store's best hits are looked at, here or by the store, for a filter that its engine cannot evaluate."""

_BEYOND = "chunks beyond those candidates were not looked at"


class _StoreLeg(ABC):
    """What both legs over a store share: refilling, and filters that the store cannot evaluate."""

    name: str
    floor: float | None = None
    """The lowest possible score, at which a chunk is no hit; where there is none, every chunk is a hit."""
    waits: bool
    """Whether its time goes by on another machine, so that other work can be done meanwhile."""

    def __init__(self, store: StoreAdapter, reader: Reader) -> None:
        self._store = store
        self._reader = reader
        self.waits = store.capabilities.get("processes") == "server"

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k` living chunks, best first; fewer only where there are no more."""
        run = run_of(query, k, generation=self._reader.generation)
        request = self._request(query, run)
        if filters is None or _takes(self._store.capabilities.get("filters"), filters):
            request.filters, filters = filters, None
        with run.stage(self.name) as stage:
            ids, scores = self._living(request, k, filters, stage)
            if request.filters is not None and not self._store.evaluates(request.filters):
                self._tell_bound(request, len(ids) < k, stage)
            stage.hits(ids, scores)
            return ids, scores

    @abstractmethod
    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The true score of each of `ids` (NaN for one that the store does not hold), or None where the store cannot tell."""

    @abstractmethod
    def _request(self, query: QueryBundle, run: QueryRun) -> VectorStoreQuery:
        """What the store is asked."""

    def _living(self, request: VectorStoreQuery, k: int, filters: MetadataFilters | None, stage: StageRecorder) -> Hits:
        """Ask for more and more until `k` hits are alive and satisfy `filters`, or the store has no more."""
        wanted = k if filters is None else 4 * k
        dropped: dict[str, str] = {}
        looked_at: set[str] = set()
        while True:
            ids, scores = self._ask(request, wanted)
            dropped |= refused(self._reader, [chunk_id for chunk_id in ids if chunk_id not in looked_at], filters)
            looked_at.update(ids)
            left = sum(chunk_id not in dropped for chunk_id in ids)
            if left >= k or len(ids) < wanted:
                break
            held = self._store.count()
            most = held if held is not None else 2 * self._reader.count() + 1_000  # deleted chunks may still be there
            most = most if filters is None else min(most, FILTERED_CANDIDATES)
            if wanted >= most:
                break
            wanted = min(2 * wanted, most)
        stage.dropped.update(dropped)
        deleted = sum(reason == "deleted" for reason in dropped.values())
        if deleted:
            stage.note(f"{deleted} hits were deleted and replaced by the next best")
        if filters is not None:
            stage.note(f"{self._store.name} cannot evaluate this filter: {len(ids)} candidates were checked in the ledger")
            if left < k and len(ids) >= FILTERED_CANDIDATES:
                stage.degraded(_BEYOND)
        if self.floor is None and request.filters is None and len(ids) < wanted and len(ids) < (self._store.count() or 0):
            stage.degraded(f"{self._store.name} gave {len(ids)} hits, asked for {wanted} and holding more")
        alive = [(chunk_id, score) for chunk_id, score in zip(ids, scores, strict=True) if chunk_id not in dropped][:k]
        return [chunk_id for chunk_id, _ in alive], [score for _, score in alive]

    def _tell_bound(self, request: VectorStoreQuery, few: bool, stage: StageRecorder) -> None:
        """Say that the store checks a filter on so many candidates at most, and where `few` passed, whether it had more."""
        told = f"up to {FILTERED_CANDIDATES:,} candidates were checked one by one"
        stage.note(f"{self._store.name} cannot evaluate all of this filter: {told}")
        if few and (self._store.count() or 0) > FILTERED_CANDIDATES:
            # a chunk without a word of the question is no candidate of a keyword store
            everything = replace(request, filters=None)
            if self.floor is None or len(self._ask(everything, FILTERED_CANDIDATES)[0]) >= FILTERED_CANDIDATES:
                stage.degraded(_BEYOND)

    def _ask(self, request: VectorStoreQuery, k: int) -> Hits:
        """The store's best `k`; equal scores in the order of their ids, so that the same store always gives the same order."""
        found = zip(*self._store.search(replace(request, similarity_top_k=k)), strict=True)
        hits = sorted((hit for hit in found if self.floor is None or hit[1] > self.floor), key=lambda hit: (-hit[1], hit[0]))
        return [chunk_id for chunk_id, _ in hits], [score for _, score in hits]


class DenseLeg(_StoreLeg):
    """The vector store. Scores are similarities in `metric`; see `similarity`."""

    name = "dense"

    def __init__(
        self,
        store: StoreAdapter,
        embedding: BaseEmbedding,
        reader: Reader,
        *,
        metric: str = "cosine",
        known: Callable[[Sequence[bytes]], Mapping[bytes, NDArray[np.float32]]] | None = None,
    ) -> None:
        """`known` gives the vectors that the embedding cache has under such keys; they are read before the store's."""
        super().__init__(store, reader)
        self._embedding = embedding
        self._metric = metric
        self._known = known if store.capabilities.get("vectors") != "memory" else None

    def _request(self, query: QueryBundle, run: QueryRun) -> VectorStoreQuery:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        return VectorStoreQuery(query_embedding=self._embed(query, run), query_str=query.query_str)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """See `_StoreLeg.score`. The vectors are fetched before the question's is waited for, which another thread may make."""
        if not ids:
            return []
        run = run_of(query, len(ids), generation=self._reader.generation)
        with run.stage(self.name, entered=len(ids)):
            found = self._vectors(ids)
        if found is None:
            return None
        question = self._embed(query, run) if found else []
        with run.stage(self.name) as stage:
            known: dict[str, float] = {}
            if found:
                matrix = np.asarray(list(found.values()), dtype=np.float32)
                known = dict(zip(found, similarity(matrix, np.asarray(question, dtype=np.float32), self._metric), strict=True))
            scores = [known.get(chunk_id, math.nan) for chunk_id in ids]
            stage.scored(ids, scores)
            return scores

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        """A cosine is from -1 to 1; the other metrics have no bounds."""
        return (-1.0, 1.0) if self._metric == "cosine" else None

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The vectors of those of `ids` that are alive: the cache's, the store's or, where neither has one, the model's."""
        alive = self._reader.alive(ids)
        found = self._vectors(list(alive)) or {}
        missing = [chunk_id for chunk_id in alive if chunk_id not in found]
        if missing:
            inputs = self._reader.inputs(missing)
            found.update(zip(inputs, self._embedding.get_text_embedding_batch(list(inputs.values())), strict=True))
        return found

    def _vectors(self, ids: Sequence[str]) -> dict[str, Any] | None:
        """The vectors of those of `ids` that the cache or the store has; None where a store that gives none back is needed.

        The cache has what the store was given, and reads it more quickly than a store does that is asked over a network or
        looks it up in a database of its own. A store that has its vectors in memory is asked alone.
        """
        found: dict[str, Any] = {}
        if self._known is not None:
            keys = self._reader.input_keys(ids)
            vectors = self._known(list(dict.fromkeys(keys.values())))
            found.update((chunk_id, vectors[key]) for chunk_id, key in keys.items() if key in vectors)
        missing = [chunk_id for chunk_id in ids if chunk_id not in found]
        stored = self._store.vectors(missing) if missing else {}
        if stored is None:
            return found or None
        return found | dict(stored)

    def _embed(self, query: QueryBundle, run: QueryRun) -> list[float]:
        """The question's vector, computed once and kept in the bundle for the other legs."""
        with run.embedding_lock:
            if query.embedding is None:
                with run.stage("embed"):
                    query.embedding = self._embedding.get_agg_embedding_from_queries(query.embedding_strs)
            return query.embedding


class KeywordLeg(_StoreLeg):
    """The keyword store. Scores are its own, above 0."""

    name = "keyword"
    floor = 0.0

    def _request(self, query: QueryBundle, run: QueryRun) -> VectorStoreQuery:
        from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

        return VectorStoreQuery(query_str=query.query_str, mode=VectorStoreQueryMode.TEXT_SEARCH)

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        """From 0 to what the store says of the question's terms; None where it does not say."""
        highest = self._store.highest_score(query.query_str)
        return None if highest is None else (0.0, highest)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """See `_StoreLeg.score`."""
        if not ids:
            return []
        with run_of(query, len(ids), generation=self._reader.generation).stage(self.name, entered=len(ids)) as stage:
            scores = self._store.score_ids(query.query_str, ids)
            if scores is not None:
                stage.scored(ids, scores)
            return scores


def similarity(matrix: NDArray[Any], vector: NDArray[Any], metric: str) -> list[float]:
    """How alike each row of `matrix` (n, dim) and `vector` (dim,) are; more is more alike.

    `cosine` is the cosine, `dot` the inner product, `l2` the negative squared Euclidean distance.
    """
    if metric == "l2":
        values = -np.square(matrix - vector).sum(axis=1)
    elif metric in ("cosine", "dot"):
        values = matrix @ vector
    else:
        raise QueryError(f"the metric {metric!r} is not known", cure="use cosine, dot or l2")
    if metric == "cosine":
        norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
        values = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return [float(value) for value in values]


def _takes(capability: Any, filters: MetadataFilters) -> bool:
    """Whether a store with this capability `filters` (true, or the operators and conditions it knows) can be handed `filters`."""
    return operators(filters) <= set(capability) if isinstance(capability, list | tuple | set | frozenset) else bool(capability)
