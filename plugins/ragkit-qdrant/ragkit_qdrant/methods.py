"""What the stores over Qdrant share, whatever carries out the six requests that it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.components import Hits
from ragkit.filters import matcher
from ragkit.stores import Candidates, StoreMethods, nearest, require_dimension, vector_of
from ragkit_qdrant.records import (
    DOCUMENT,
    fields,
    is_point,
    node_of,
    parcels,
    payload,
    require_numbers,
    require_point,
    weight,
)
from ragkit_qdrant.where import Where, translate

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery

DISTANCES = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}
"""What Qdrant calls each metric. It reports the cosine, the inner product, and the Euclidean distance."""

_MOST = 1_000
_HEAVIEST = 8_000_000
"""Bytes of one write; a server takes 32 MB by default."""


@dataclass(frozen=True)
class Found:
    """A point on its way in or out; what was not asked for is None."""

    id: str
    payload: Mapping[str, Any] | None = None
    vector: Sequence[float] | None = None


class QdrantMethods(StoreMethods):
    """ragkit's protocols over what `_held`, `_search`, `_scroll`, `_read`, `_write` and `_erase` do."""

    _component: str
    _metric: str
    _exact: bool
    """Whether every search compares all vectors."""

    # What a store says

    def _held(self) -> int | None:
        """The dimension of the vectors, or None before the first is written."""
        raise NotImplementedError

    def _search(self, vector: list[float], k: int, where: Where | None, *, payloads: bool, exact: bool) -> Candidates:
        """The nearest, with ragkit's scores; their payloads as rows."""
        raise NotImplementedError

    def _scroll(self, where: Where | None, *, payloads: bool) -> Iterator[Found]:
        """Every point that satisfies `where`."""
        raise NotImplementedError

    def _read(self, ids: list[str], *, payloads: bool = False, vectors: bool = False) -> list[Found]:
        """Those of `ids` that are there."""
        raise NotImplementedError

    def _write(self, dimension: int, points: list[Found]) -> None:
        """Insert or replace, with the collection made for vectors of `dimension` if there is none."""
        raise NotImplementedError

    def _erase(self, where: Where) -> None:
        """Delete what satisfies `where`."""
        raise NotImplementedError

    def count(self) -> int:
        """How many chunks there are."""
        raise NotImplementedError

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The nearest chunks and their similarity: the cosine, the inner product, or minus the squared distance."""
        vector = require_numbers(self._component, vector_of(query, self._component))
        held = self._held()
        if held is None:
            return [], []
        require_dimension(self._component, held, len(vector))
        where, whole = translate(query.filters, query.doc_ids, query.node_ids or None)
        test = matcher(query.filters)

        def ask(k: int) -> Candidates:
            return self._candidates(vector, k, where, payloads=not whole)

        passes = None if whole else lambda record: test(fields(record))
        found = nearest(ask, query.similarity_top_k, passes)
        return list(found.ids), list(found.scores)

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether Qdrant evaluates all of `filters`; the rest of them is looked up in the payloads of the nearest."""
        return translate(filters)[1]

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Add nodes, or replace vector, metadata and text of those with the same id."""
        points = []
        held = self._held()
        for node in {node.node_id: node for node in nodes}.values():
            vector = require_numbers(self._component, node.get_embedding())
            held = held or len(vector)
            require_dimension(self._component, held, len(vector))
            record = payload(node, with_text=self.stores_text)
            points.append(Found(require_point(self._component, node.node_id), record, vector))
        weights = [weight(point.vector or (), point.payload or {}) for point in points]
        for parcel in parcels(weights, _MOST, _HEAVIEST):
            self._write(held or 0, points[parcel])

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The stored vectors of those of `ids` that are there; for `cosine` at length 1."""
        found = self._read(self._points(ids), vectors=True)
        return {one.id: one.vector for one in found if one.vector is not None}

    def ids(self) -> Iterator[str]:
        """Every id, in pages."""
        if self._held() is not None:
            yield from (one.id for one in self._scroll(None, payloads=False))

    def delete_ids(self, ids: Sequence[str]) -> None:
        known = self._points(ids)
        if known and self._held() is not None:
            for parcel in parcels([40] * len(known), 10_000, _HEAVIEST):
                self._erase({"must": [{"has_id": known[parcel]}]})

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> list[str]:
        """The ids, of these (all, where None), of the chunks that `filters` let pass."""
        if self._held() is None:
            return []
        where, whole = translate(filters, None, ids)
        test = matcher(filters)
        return [one.id for one in self._scroll(where, payloads=not whole) if whole or test(fields(one.payload))]

    def nodes_of(self, ids: Sequence[str]) -> list[BaseNode]:
        """The chunks with these ids, in this order."""
        held = {one.id: one for one in self._read(self._points(ids), payloads=True)}
        return [node_of(id_, held[id_].payload) for id_ in ids if id_ in held]

    # What LlamaIndex asks for

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Remove every chunk of a document."""
        if self._held() is not None:
            self._erase({"must": [{"key": DOCUMENT, "match": {"value": ref_doc_id}}]})

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The chunks with these ids (all, where None), of them those that `filters` let pass."""
        if filters is not None:
            node_ids = self.passing(filters, node_ids)
        return self.nodes_of(list(self.ids()) if node_ids is None else list(dict.fromkeys(node_ids)))

    # How

    def _candidates(self, vector: list[float], k: int, where: Where | None, *, payloads: bool) -> Candidates:
        found = self._search(vector, k, where, payloads=payloads, exact=False)
        if len(found.ids) < k and not self._exact and (where is not None or len(found.ids) < self.count()):
            # Few pass the filter, or the graph cannot reach all: vectors that are nearly alike can cut it in pieces.
            found = self._search(vector, k, where, payloads=payloads, exact=True)
        return found

    def _found(self, points: Sequence[Any], payloads: bool) -> Candidates:
        """Points as the client or the engine returns them, with ragkit's scores instead of Qdrant's."""
        scores = [point.score for point in points]
        if self._metric == "l2":
            scores = [-(score**2) for score in scores]
        return Candidates([str(point.id) for point in points], scores, [point.payload for point in points] if payloads else ())

    def _points(self, ids: Sequence[str]) -> list[str]:
        """Those of `ids`, once each, that Qdrant can have."""
        return [id_ for id_ in dict.fromkeys(ids) if is_point(id_)]
