"""Asking the index: the best hits in a stable order, and everything in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tantivy
from tantivy import FieldType, Query

from ragkit.components import Hits
from ragkit.stores import Candidates
from ragkit_tantivy.queries import every
from ragkit_tantivy.records import SLOTS, Record, ids_of, numbers_of, written
from ragkit_tantivy.where import Where

_MORE = 100
"""So many hits beyond those wanted are fetched at first: which of equal ones tantivy returns depends on its segments."""
_MOST = 1_000
_PAGE = 20_000


@dataclass(frozen=True)
class View:
    """One state of the index, which a query keeps to its end."""

    schema: tantivy.Schema
    searcher: tantivy.Searcher
    where: Where


def best(searcher: tantivy.Searcher, query: Query, k: int) -> Hits:
    """Ids and scores of the best `k`, equal ones in the order of their ids.

    Which of many equal hits at the end are among the `k` is settled by their ids among the first `_MOST` and some.
    """
    if k <= 0:
        return [], []
    limit, held = k + _MORE, max(searcher.num_docs, 1)
    while True:
        hits: list[tuple[Any, tantivy.DocAddress]] = searcher.search(query, min(limit, held), count=False).hits
        if len(hits) < limit or hits[k - 1][0] > hits[-1][0] or limit > _MOST + k:
            break
        limit = 8 * limit
    if len(hits) > k:
        last = hits[k - 1][0]
        hits = [hit for hit in hits if hit[0] >= last]
    scores, addresses = [score for score, _ in hits], [address for _, address in hits]
    numbers: list[Any] = list(numbers_of(searcher, addresses))
    names: list[Any] = ids_of(searcher, addresses) if None in numbers else numbers
    order = sorted(range(len(hits)), key=lambda i: (-scores[i], names[i]))[:k]
    return [names[i] if names is not numbers else written(numbers[i]) for i in order], [scores[i] for i in order]


def candidates(searcher: tantivy.Searcher, query: Query, count: int) -> Candidates:
    """The best `count`, with their metadata."""
    hits = searcher.search(query, min(count, max(searcher.num_docs, 1)), count=False).hits
    records = [Record.read(searcher.doc(address)) for _, address in hits]
    return Candidates([record.id for record in records], [score for score, _ in hits], [record.metadata for record in records])


def pages(view: View, *wanted: Query) -> Iterator[list[tantivy.DocAddress]]:
    """Everything that satisfies all that is `wanted`, in parts of about `_PAGE`."""
    held = max(view.searcher.num_docs, 1)
    step = max(SLOTS * _PAGE // held, 1)
    for start in range(0, SLOTS, step):
        slots = Query.range_query(view.schema, "slot", FieldType.Unsigned, start, start + step, include_upper=False)
        yield [address for _, address in view.searcher.search(every([*wanted, slots]), held, count=False).hits]
