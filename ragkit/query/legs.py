"""The legs over the stores, as ids and scores.

A leg records itself in the trace under its name, drops what the ledger does not have any more, and fetches more until
it has as many hits as were asked or the store has no more.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.components import Hits
from ragkit.errors import QueryError
from ragkit.filters import matches
from ragkit.query.hydrate import fields
from ragkit.query.reader import Reader, Store
from ragkit.query.run import QueryRun, run_of
from ragkit.query.trace import StageRecorder

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

FILTERED_CANDIDATES = 10_000
"""How many of a store's best hits are looked at for a filter that the store itself cannot evaluate."""


class _StoreLeg(ABC):
    """What both legs over a store share: refilling, and filters that the store cannot evaluate."""

    floor: float | None = None
    """The lowest score that the leg can give, where it is known."""
    scores_all = False
    """Whether every chunk is a hit, so that a store that gives fewer than asked must hold no more."""

    def __init__(self, store: Store, reader: Reader, name: str) -> None:
        self.name = name
        self._store = store
        self._reader = reader

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The best `k` living chunks, best first; fewer only where there are no more."""
        run = run_of(query, k, generation=self._reader.generation)
        ask = self._asker(query, run, filters)
        with run.stage(self.name) as stage:
            ids, scores = self._search(ask, k, filters, stage)
            stage.hits(ids, scores)
            return ids, scores

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The true score of each of `ids` (NaN for one that the store does not hold), or None where the store cannot tell."""
        run = run_of(query, max(len(ids), 1), generation=self._reader.generation)
        with run.stage(self.name, entered=len(ids)) as stage:
            scores = self._score(query, ids)
            if scores is not None:
                known = [(item, score) for item, score in zip(ids, scores, strict=True) if not math.isnan(score)]
                stage.scored([item for item, _ in known], [score for _, score in known])
            return scores

    @abstractmethod
    def _asker(self, query: QueryBundle, run: QueryRun, filters: MetadataFilters | None) -> Callable[[int], Hits]:
        """A function that asks the store for its best k."""

    @abstractmethod
    def _score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The scores of given chunks, NaN where the store does not hold one."""

    def _filters_here(self, filters: MetadataFilters | None) -> bool:
        return filters is not None and not _evaluates(self._store.capabilities.get("filters"), filters)

    def _search(self, ask: Callable[[int], Hits], k: int, filters: MetadataFilters | None, stage: StageRecorder) -> Hits:
        """Ask for more and more until `k` hits are alive and wanted, the store has no more, or the bound is reached."""
        here = filters if self._filters_here(filters) else None
        keep = Keep(self._reader, here)
        wanted, bound = (4 * k if here else k), None
        while True:
            ids, scores = ask(wanted)
            kept = keep(ids)
            if len(kept) >= k or len(ids) < wanted:
                break
            bound = bound or self._bound(filtering=here is not None)
            if wanted >= bound:
                break
            wanted = min(2 * wanted, bound)
        self._tell(stage, keep, here is not None, exhausted=len(ids) < wanted or len(kept) >= k)
        if self.scores_all and filters is None and len(ids) < wanted:
            held = self._store.count()
            if held is not None and len(ids) < min(wanted, held):
                stage.degraded(f"{self._store.name} gave {len(ids)} hits, asked for {wanted} and holding {held}")
        pairs = [pair for pair in zip(ids, scores, strict=True) if pair[0] in kept][:k]
        return [item for item, _ in pairs], [score for _, score in pairs]

    def _bound(self, *, filtering: bool) -> int:
        """How much there is to fetch: what the store holds, tombstoned chunks that it has not dropped yet included."""
        count = self._store.count()
        most = count if count is not None else 2 * self._reader.count() + 1_000
        return min(most, FILTERED_CANDIDATES) if filtering else most

    def _tell(self, stage: StageRecorder, keep: Keep, filtering: bool, *, exhausted: bool) -> None:
        if keep.dead:
            stage.note(f"{len(keep.dead)} hits were deleted and replaced by the next best")
            stage.drop(sorted(keep.dead), "deleted")
        if filtering:
            stage.note(f"{self._store.name} cannot evaluate this filter: {len(keep.seen)} candidates were checked in the ledger")
            stage.drop(sorted(keep.refused), "filter")
            if not exhausted:
                stage.degraded("chunks beyond those candidates were not looked at")


class Keep:
    """Tells which hits are alive and satisfy the filter; looks at every hit once."""

    def __init__(self, reader: Reader, filters: MetadataFilters | None) -> None:
        self._reader = reader
        self._filters = filters
        self._kept: set[str] = set()
        self.seen: set[str] = set()
        self.dead: set[str] = set()
        self.refused: set[str] = set()

    def __call__(self, ids: Sequence[str]) -> set[str]:
        fresh = [item for item in ids if item not in self.seen]
        self.seen.update(fresh)
        if self._filters is None:
            alive = set(self._reader.alive(fresh))
            self._kept |= alive
        else:
            chunks = self._reader.chunks(fresh)
            alive = {chunk.id for chunk in chunks}
            wanted = {chunk.id for chunk in chunks if matches(self._filters, fields(chunk))}
            self.refused |= alive - wanted
            self._kept |= wanted
        self.dead |= set(fresh) - alive
        return self._kept


class DenseLeg(_StoreLeg):
    """The vector store. Scores are similarities in `metric`; see `similarity`."""

    scores_all = True

    def __init__(
        self, store: Store, embedding: BaseEmbedding, reader: Reader, name: str = "dense", *, metric: str = "cosine"
    ) -> None:
        super().__init__(store, reader, name)
        self._embedding = embedding
        self.metric = metric

    def _asker(self, query: QueryBundle, run: QueryRun, filters: MetadataFilters | None) -> Callable[[int], Hits]:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        vector = self._embed(query, run)
        passed = None if self._filters_here(filters) else filters

        def ask(k: int) -> Hits:
            wanted = VectorStoreQuery(query_embedding=vector, query_str=query.query_str, similarity_top_k=k, filters=passed)
            return _ranked(self._store.search(wanted))

        return ask

    def _score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        if not ids:
            return []
        found = self._store.vectors(ids)
        if found is None:
            return None
        vector = np.asarray(self._embed(query, run_of(query, len(ids))), dtype=np.float32)
        held = [item for item in ids if item in found]
        scores = dict.fromkeys(ids, math.nan)
        if held:
            matrix = np.asarray([found[item] for item in held], dtype=np.float32)
            scores.update(zip(held, similarity(matrix, vector, self.metric), strict=True))
        return [scores[item] for item in ids]

    def _embed(self, query: QueryBundle, run: QueryRun) -> list[float]:
        """The question's vector, computed once and kept in the bundle for the other legs."""
        if query.embedding is None:
            with run.stage("embed"):
                if query.custom_embedding_strs:
                    query.embedding = self._embedding.get_agg_embedding_from_queries(query.custom_embedding_strs)
                else:
                    query.embedding = self._embedding.get_query_embedding(query.query_str)
        return query.embedding


class KeywordLeg(_StoreLeg):
    """The keyword store. Scores are its own, above 0."""

    floor = 0.0

    def __init__(self, store: Store, reader: Reader, name: str = "keyword") -> None:
        super().__init__(store, reader, name)

    def _asker(self, query: QueryBundle, run: QueryRun, filters: MetadataFilters | None) -> Callable[[int], Hits]:
        from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

        passed, mode = None if self._filters_here(filters) else filters, VectorStoreQueryMode.TEXT_SEARCH

        def ask(k: int) -> Hits:
            wanted = VectorStoreQuery(query_str=query.query_str, similarity_top_k=k, mode=mode, filters=passed)
            ids, scores = _ranked(self._store.search(wanted))
            matching = sum(score > 0 for score in scores)
            return ids[:matching], scores[:matching]

        return ask

    def _score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        return self._store.score_ids(query.query_str, ids)


def similarity(matrix: Any, vector: Any, metric: str) -> list[float]:
    """How alike each row of `matrix` (n, dim) and `vector` (dim,) are; more is more alike.

    `cosine` is the cosine, `dot` the inner product, `l2` the negative squared Euclidean distance.
    """
    if metric == "l2":
        return [float(value) for value in -np.square(matrix - vector).sum(axis=1)]
    products = matrix @ vector
    if metric == "dot":
        return [float(value) for value in products]
    if metric != "cosine":
        raise QueryError(f"the metric {metric!r} is not known", cure="use cosine, dot or l2")
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    return [float(value) for value in np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)]


def _ranked(hits: Hits) -> Hits:
    """Best first, equal scores in the order of their ids, so that the same store always gives the same order."""
    pairs = sorted(zip(*hits, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return [item for item, _ in pairs], [score for _, score in pairs]


def _evaluates(capability: Any, filters: MetadataFilters) -> bool:
    """Whether a store with this capability `filters` (true, or the operators and conditions it knows) can be handed `filters`."""
    if not isinstance(capability, list | tuple | set | frozenset):
        return bool(capability)
    return _operators(filters) <= set(capability)


def _operators(filters: MetadataFilters | MetadataFilter) -> set[str]:
    from llama_index.core.vector_stores.types import MetadataFilter

    if isinstance(filters, MetadataFilter):
        return {filters.operator.value}
    condition = filters.condition.value if filters.condition is not None else "and"
    plain = len(filters.filters) == 1 and condition != "not"
    return set().union(*map(_operators, filters.filters), () if plain else (condition,))
