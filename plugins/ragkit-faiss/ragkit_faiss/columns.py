"""Metadata by key, so that a filter is evaluated once per distinct value instead of once per chunk."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.filters import matches

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

Array = np.ndarray[Any, Any]

_REMEMBERED = 256
"""Of so many comparisons with a key it is kept which values satisfy them."""


class Column:
    """One key: the distinct values it has, and which of them each row has. Code 0 is for rows without the key."""

    def __init__(self) -> None:
        self.codes: Array = np.empty(0, dtype=np.int32)
        self.values: list[Any] = [None]
        self._code_of: dict[Any, int] = {}
        self._tables: dict[tuple[str, str], Array] = {}

    def code(self, value: Any) -> int:
        """The number of a value. Values that are equal in Python but of different types have different ones."""
        key: Any = value
        if isinstance(value, list | dict):
            key = (list, json.dumps(value))
        elif not isinstance(value, str):
            key = (type(value), value)
        code = self._code_of.get(key)
        if code is None:
            code = self._code_of[key] = len(self.values)
            self.values.append(value)
        return code

    def find(self, value: str) -> int:
        """The number of a text, -1 for one that no row has."""
        return self._code_of.get(value, -1)

    def extend(self, codes: Sequence[int] | Array, rows: int) -> None:
        """Append the codes of the rows up to `rows`; those in between do not have the key."""
        between = np.zeros(rows - len(self.codes) - len(codes), dtype=np.int32)
        self.codes = np.concatenate([self.codes, between, np.asarray(codes, dtype=np.int32)])

    def satisfy(self, part: Any, rows: int) -> Array:
        """Which of the first `rows` rows satisfy one comparison."""
        from llama_index.core.vector_stores.types import MetadataFilters

        asked = (str(getattr(part.operator, "value", part.operator)), repr(part.value))
        table = self._tables.get(asked, np.empty(0, dtype=np.bool_))
        if len(table) < len(self.values):
            one = MetadataFilters(filters=[part])
            new = [matches(one, {part.key: value}) for value in self.values[len(table) :]]
            table = np.concatenate([table, np.array(new, dtype=np.bool_)])
            if len(self._tables) >= _REMEMBERED:
                self._tables.clear()
            self._tables[asked] = table
        found: Array = table[self.first(rows)]
        return found

    def first(self, rows: int) -> Array:
        """The codes of the first `rows` rows."""
        missing = rows - len(self.codes)
        return self.codes[:rows] if missing <= 0 else np.concatenate([self.codes, np.zeros(missing, dtype=np.int32)])


class Columns:
    """Documents and metadata of an epoch, read when they are first asked for and then only what is new."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        """`read(begin, end)` gives that piece of the records."""
        self._read = read
        self._size = 0
        self._documents = Column()
        self._columns: dict[str, Column] = {}
        self._lock = threading.Lock()

    def passing(self, filters: MetadataFilters | None, documents: Sequence[str] | None, size: int, rows: int) -> Array:
        """Which of the first `rows` rows, whose records are `size` bytes, `filters` let pass and are of one of `documents`."""
        with self._lock:
            self._catch_up(size, rows)
            passing = self._filtered(filters, rows)
            if documents is not None:
                known = [self._documents.find(document) for document in documents]
                passing &= np.isin(self._documents.first(rows), [code for code in known if code >= 0])
            return passing

    def _filtered(self, filters: MetadataFilters | None, rows: int) -> Array:
        if filters is None or not filters.filters:
            return np.ones(rows, dtype=np.bool_)
        condition = str(getattr(filters.condition, "value", filters.condition) or "and")
        results = [self._part(part, rows) for part in filters.filters]
        if condition == "and":
            every: Array = np.logical_and.reduce(results)
            return every
        some: Array = np.logical_or.reduce(results)
        return some if condition == "or" else ~some

    def _part(self, part: Any, rows: int) -> Array:
        if hasattr(part, "filters"):
            return self._filtered(part, rows)
        return (self._columns.get(part.key) or Column()).satisfy(part, rows)

    def _catch_up(self, size: int, rows: int) -> None:
        """Read the records up to `size`, which end with row number `rows`."""
        if size <= self._size:
            return
        lines = self._read(self._size, size).decode("utf-8", "surrogatepass").split("\n")[:-1]
        if len(self._documents.codes) + len(lines) != rows:
            raise ValueError(f"{len(self._documents.codes) + len(lines)} records instead of {rows}")
        codes: dict[str, Array] = {}
        documents = np.zeros(len(lines), dtype=np.int32)
        for i, line in enumerate(lines):
            document, metadata = json.loads(line)
            if document is not None:
                documents[i] = self._documents.code(document)
            for key, value in metadata.items():
                if key not in codes:
                    codes[key] = np.zeros(len(lines), dtype=np.int32)
                codes[key][i] = self._columns.setdefault(key, Column()).code(value)
        self._documents.extend(documents, rows)
        for key, found in codes.items():
            self._columns[key].extend(found, rows)
        self._size = size
