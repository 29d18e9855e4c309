"""What goes over the wire: how large a record is there, which writes an answer has seen, and whether a record has arrived."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Record = dict[str, Any]

RECORDS, BYTES = 1_000, 1_900_000
"""Of one upsert, at most: the limits are 1,000 records and 2 MB."""

_NUMBER_BYTES = 25
_WRITTEN = ("x-pinecone-request-lsn", "x-pinecone-lsn-committed")
_READ = ("x-pinecone-max-indexed-lsn", "x-pinecone-lsn-reconciled")


def sized(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Consecutive parts, each of which one upsert takes."""
    batch: list[Record] = []
    size = 0
    for record in records:
        takes = _size(record)
        if batch and (len(batch) == RECORDS or size + takes > BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += takes
    if batch:
        yield batch


def _size(record: Record) -> int:
    """How long a record is as JSON, at most."""
    metadata = json.dumps(record["metadata"], ensure_ascii=False).encode("utf-8", "surrogatepass")
    return len(metadata) + len(record["id"]) + _NUMBER_BYTES * len(record["values"]) + 100


def headers_of(answer: Any) -> Mapping[str, str]:
    """The headers of an answer of the SDK, their names in lower case."""
    return answer.response_info.raw_headers if answer.response_info is not None else {}


def number_of(headers: Mapping[str, str], *, written: bool) -> int | None:
    """The number of the write that this answers, or of the last write that a query has seen; None where none is told.

    The first name of each is Pinecone's own, the second the one that its SDK looks for.
    """
    names = _WRITTEN if written else _READ
    told = next((headers[name] for name in names if name in headers), "")
    return int(told) if told.isdecimal() else None


def arrived(found: Any, record: Record | None) -> bool:
    """Whether what was fetched, or not found, is the record that was written, or deleted (None)."""
    if found is None or record is None:
        return found is None and record is None
    same = len(found.values) == len(record["values"]) and (found.metadata or {}) == record["metadata"]
    pairs = zip(found.values, record["values"], strict=False)
    return same and all(math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-7) for one, other in pairs)
