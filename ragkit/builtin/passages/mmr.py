"""`mmr`: hits that are relevant and not all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragkit import BuildContext
from ragkit.builtin.diversity import picks
from ragkit.builtin.retrievers.asking import one_line
from ragkit.builtin.retrievers.base import OverRetriever
from ragkit.components import Hits, Stage
from ragkit.errors import QueryError

if TYPE_CHECKING:
    from llama_index.core.schema import QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


class MMRRetriever(OverRetriever):
    """Picks among the best `fetch` hits of `inner` by maximal marginal relevance (`ragkit.builtin.diversity.picks`).

    A hit's score is its marginal relevance: what it was worth when it was picked, from 1 to -1, never more than the hit
    before. Its relevance stands in the trace, as the score of `inner`. `diversity` is from 0 to 1.
    """

    def __init__(self, context: BuildContext, inner: Any, *, fetch: int = 50, diversity: float = 0.3) -> None:
        super().__init__(context, inner, "mmr")
        self._fetch = fetch
        self._diversity = diversity

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The `k` that are picked, in that order. Where no vectors can be had, the best `k` of `inner`."""
        ids, scores = self._inner.search(query, max(k, self._fetch), filters)
        with self._context.run(query).stage(self.name, entered=len(ids)) as stage:
            picked = picks(ids, scores, self._vectors(ids, stage), self._diversity, k)
            chosen, values = [ids[place] for place, _ in picked], [value for _, value in picked]
            stage.hits(chosen, values)
        return chosen, values

    def _vectors(self, ids: Sequence[str], stage: Stage) -> Mapping[str, Sequence[float]]:
        try:
            vectors = self._context.vectors(ids)
        except QueryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a store or a model raises, the hits are there without it
            stage.degraded(f"there are no vectors to compare ({one_line(error)}), so the order stays")
            return {}
        missing = sum(chunk_id not in vectors for chunk_id in ids)
        if missing:
            stage.note(f"{missing} of {len(ids)} hits have no vector and are taken to be like no other")
        return vectors
