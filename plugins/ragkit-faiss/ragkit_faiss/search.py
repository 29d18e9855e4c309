"""The nearest rows of a snapshot: by the graph, or exactly where that is as fast or the graph would miss some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ragkit_faiss.graph import Array, faiss
from ragkit_faiss.snapshot import Snapshot, bits

Hits = tuple[list[str], list[float]]

_GRAPH_COSTS = 16
"""Comparing with all of c rows is taken to be as fast as a graph of n rows where c² is so many times `ef` · n."""
_NARROW = 16
"""For vectors shorter than this FAISS has kernels that round equal rows differently, by their place."""
_PART = 4_096
"""So many scattered rows are gathered at a time, so that they stay in the processor's cache."""


def similarities(metric: str, vector: Array, rows: Array) -> Array:
    """The similarity of `vector` (dim) to each of `rows` (n, dim), in this thread alone; equal rows get equal ones."""
    if rows.shape[1] < _NARROW:
        found: Array = -((rows - vector) ** 2).sum(axis=1) if metric == "l2" else (rows * vector).sum(axis=1)
        return found
    found = np.empty(len(rows), dtype=np.float32)
    if len(rows):
        ask = faiss.fvec_L2sqr_ny if metric == "l2" else faiss.fvec_inner_products_ny
        ask(faiss.swig_ptr(found), faiss.swig_ptr(vector), faiss.swig_ptr(rows), rows.shape[1], len(rows))
    return np.negative(found, out=found) if metric == "l2" else found


def nearest(snapshot: Snapshot, metric: str, vector: Array, k: int, ef: int, chosen: Array | None = None) -> Hits:
    """The best `k` ids and similarities, equal ones in the order of the ids; of the rows that are true in `chosen`."""
    allowed, count = snapshot.alive, snapshot.count
    if chosen is not None:
        allowed = chosen if allowed is None else chosen & allowed
        count = int(np.count_nonzero(allowed))
    k, ef = min(k, count), max(ef, k + 1)
    if k <= 0:
        return [], []
    found = None
    if snapshot.graph is not None and count * count > _GRAPH_COSTS * ef * snapshot.manifest.rows:
        covered = snapshot.living_bits if chosen is None or allowed is None else bits(allowed[: snapshot.graph.rows])
        found = _by_graph(snapshot, metric, vector, k, ef, allowed, covered)
    if found is None:
        found = _exactly(snapshot, metric, vector, k, count, allowed)
    return _ordered(snapshot.names, *found, k)


def _by_graph(
    snapshot: Snapshot, metric: str, vector: Array, k: int, ef: int, allowed: Array | None, covered: tuple[Array | None, int]
) -> tuple[Array, Array] | None:
    """Rows and similarities of at least `k` hits; None where the graph brings too few, or a hit equal to the last is missing."""
    graph = snapshot.graph
    assert graph is not None
    chosen, inside = covered
    wanted = min(k + 1, inside)
    rows = np.empty(0, dtype=np.int64)
    if wanted:
        # Rows that may not be found take room among the candidates: look at the more.
        rows = graph.search(vector, wanted, -(-ef * graph.rows // inside), chosen)
        if len(rows) < wanted:
            return None
    if graph.rows < snapshot.manifest.rows:
        tail = similarities(metric, vector, snapshot.vectors[graph.rows :])
        if allowed is not None:
            tail[~allowed[graph.rows :]] = -np.inf
        best = _best(tail, k + 1)
        rows = np.concatenate([rows, best[tail[best] > -np.inf] + graph.rows])
    found = similarities(metric, vector, snapshot.vectors[rows])
    if len(found) > k:
        last = np.partition(found, len(found) - k)[len(found) - k]
        if np.count_nonzero(found >= last) > k:
            return None
    return rows, found


def _exactly(snapshot: Snapshot, metric: str, vector: Array, k: int, count: int, allowed: Array | None) -> tuple[Array, Array]:
    """Rows and similarities of the best `k`, and of all that are equal to the last."""
    if allowed is not None and 4 * count < len(allowed):
        rows = np.flatnonzero(allowed)
        parts = [similarities(metric, vector, snapshot.vectors[rows[begin : begin + _PART]]) for begin in range(0, count, _PART)]
        found = np.concatenate(parts)
        best = _best(found, k)
        return rows[best], found[best]
    found = similarities(metric, vector, snapshot.vectors)
    if allowed is not None:
        found[~allowed] = -np.inf
    best = _best(found, k)
    return best, found[best]


def _best(found: Array, k: int) -> Array:
    """Where the highest `k` are, and all that are equal to the last of them; in no order."""
    if len(found) <= k:
        return np.arange(len(found))
    chosen: Array = np.flatnonzero(found >= np.partition(found, len(found) - k)[len(found) - k])
    return chosen


def _ordered(names: Sequence[str], rows: Array, found: Array, k: int) -> Hits:
    order = np.argsort(-found, kind="stable")
    scores: Any = found[order]
    ids = [names[row] for row in rows[order].tolist()]
    if np.any(scores[1:] == scores[:-1]):
        hits = sorted(zip((-scores).tolist(), ids, strict=True))[:k]
        return [id_ for _, id_ in hits], [-negated for negated, _ in hits]
    return ids[:k], scores[:k].tolist()
