"""LlamaIndex's filters as SQL over the column `metadata`, with the meaning of `ragkit.filters.matches`.

Keys and values are parameters throughout. Of a row whose metadata jsonb could not hold SQL cannot tell: it passes, and `matches`
judges it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from psycopg.sql import SQL, Composable, Composed, Placeholder

from ragkit.filters.meaning import plain
from ragkit_pgvector.records import microseconds, number, sendable

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQuery

_MOST_FORMS = 64
"""A list of ones and zeros has so many forms at most, as Python takes `1` and `True` for equal and jsonb does not."""
_TRUE, _FALSE = SQL("TRUE"), SQL("FALSE")
_OF_MISSING = ("!=", "nin", "is_empty")
"""What a key that is missing satisfies."""

# Of the key {0}: what the metadata have, NULL for null too; as a text in the order of its characters; and as a list.
_HAVE = "nullif(metadata -> {0}::text, 'null')"
_TEXT = f"(({_HAVE}) #>> '{{{{}}}}') COLLATE \"C\""
_LIST = f"CASE jsonb_typeof({_HAVE}) WHEN 'array' THEN {_HAVE} ELSE jsonb_build_array({_HAVE}) END"


class _UntoldError(Exception):
    """SQL has no comparison that means the same."""


@dataclass(frozen=True)
class Where:
    """What rows have to satisfy: `only`, and `condition`, or where `unsure` holds `matches`.

    `whole` says that SQL has the filters' meaning, `filtered` that there may be rows that do not pass.
    """

    condition: Composable
    unsure: Composable
    only: Composable
    parameters: Mapping[str, Any]
    whole: bool = True
    filtered: bool = True

    def sql(self) -> Composed:
        """For `WHERE`."""
        return SQL("{} AND ({} OR {})").format(self.only, self.unsure, self.condition)

    def doubt(self) -> Composed:
        """For `SELECT`: NULL where the row passes for certain, its metadata where `matches` has to judge."""
        return SQL("CASE WHEN {} THEN coalesce(raw, metadata::text) END").format(self.unsure)


def translate(filters: MetadataFilters | None, query: VectorStoreQuery | None = None) -> Where:
    """`filters`, and the restriction of `query` to some documents and nodes."""
    writer = _Writer()
    only: list[Composable] = []
    if query is not None and query.doc_ids:
        only.append(SQL("document = ANY({})").format(writer.put([id_ for id_ in query.doc_ids if sendable(id_)])))
    if query is not None and query.node_ids:
        only.append(SQL("id = ANY({})").format(writer.put([id_ for id_ in query.node_ids if sendable(id_)])))
    among = _all(only)
    if filters is None or not filters.filters:
        return Where(_TRUE, _FALSE, among, writer.parameters, filtered=bool(only))
    try:
        condition = writer.group(filters)
    except _UntoldError:
        return Where(_FALSE, _TRUE, among, writer.parameters, whole=False)
    return Where(condition, SQL("raw IS NOT NULL"), among, writer.parameters)


class _Writer:
    """Writes conditions that are true or false, never NULL, and collects their parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def put(self, value: Any) -> Placeholder:
        name = f"f{len(self.parameters)}"
        self.parameters[name] = value
        return Placeholder(name)

    def group(self, filters: Any) -> Composable:
        parts = [self.one(part) if hasattr(part, "key") else self.group(part) for part in filters.filters]
        condition = str(getattr(filters.condition, "value", filters.condition) or "and")
        if condition == "and" or not parts:
            return _all(parts)
        either = SQL("({})").format(SQL(" OR ").join(parts))
        return either if condition == "or" else SQL("NOT {}").format(either)

    def one(self, part: Any) -> Composable:
        operator, value = str(getattr(part.operator, "value", part.operator)), plain(part.value)
        opposite = {"!=": "==", "nin": "in"}.get(operator)
        write = _OPERATORS.get(opposite or operator)
        if write is None:
            raise _UntoldError  # `matches` refuses it
        if not sendable(part.key):  # only what is in the column `raw` has such a key
            return _TRUE if operator in _OF_MISSING else _FALSE
        told = SQL("coalesce({}, {})").format(
            write(self, self.put(part.key), value), _TRUE if operator in _OF_MISSING and not opposite else _FALSE
        )
        return SQL("NOT {}").format(told) if opposite else told

    def empty(self, key: Placeholder, value: Any) -> Composable:
        return SQL(_HAVE + " IN ('\"\"', '[]')").format(key)

    def inside(self, key: Placeholder, value: Any) -> Composable:
        return SQL(_HAVE + " = ANY({1}::text[]::jsonb[])").format(key, self._forms(_many(value)))

    def some(self, key: Placeholder, value: Any) -> Composable:
        return self._member(key, _many(value))

    def every(self, key: Placeholder, value: Any) -> Composable:
        there = SQL(_HAVE + " IS NOT NULL").format(key)
        return _all([there, *(self._member(key, [item]) for item in _many(value))])

    def contains(self, key: Placeholder, value: Any) -> Composable:
        told = SQL("CASE jsonb_typeof(" + _HAVE + ") WHEN 'array' THEN {1} ELSE {2} END")
        return told.format(key, self._member(key, [value]), self.within(key, value))

    def within(self, key: Placeholder, value: Any) -> Composable:
        if not isinstance(value, str) or not sendable(value):
            return _FALSE
        return SQL("jsonb_typeof(" + _HAVE + ") = 'string' AND strpos(" + _TEXT + ", {1}) > 0").format(key, self.put(value))

    def within_folded(self, key: Placeholder, value: Any) -> Composable:
        """Python folds what is not ASCII; the column has it."""
        if not isinstance(value, str) or not sendable(value):
            return _FALSE
        told = SQL(
            "jsonb_typeof(" + _HAVE + ") = 'string' AND strpos(coalesce(folded ->> {0}::text, lower(" + _TEXT + ")), {1}) > 0"
        )
        return told.format(key, self.put(value.casefold()))

    def ordered(self, sign: SQL, key: Placeholder, value: Any) -> Composable:
        if isinstance(value, str):
            return self._ordered_text(sign, key, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _FALSE
        if not math.isfinite(value):
            raise _UntoldError
        told = SQL("jsonb_typeof(" + _HAVE + ") = 'number' AND " + _HAVE + " {1} {2}::jsonb")
        return told.format(key, sign, self.put(number(value)))

    def _ordered_text(self, sign: SQL, key: Placeholder, value: str) -> Composable:
        """Two moments by what the column has of them, any other texts by their characters."""
        if not sendable(value):
            raise _UntoldError
        told = SQL(_TEXT + " {1} {2}::text").format(key, sign, self.put(value))
        if (moment := microseconds(value)) is not None:
            told = SQL("coalesce((moments ->> {0}::text)::bigint {1} {2}::bigint, {3})").format(key, sign, self.put(moment), told)
        return SQL("jsonb_typeof(" + _HAVE + ") = 'string' AND {1}").format(key, told)

    def _member(self, key: Placeholder, values: Sequence[Any]) -> Composable:
        """Whether one of `values` is a member of a list, or the value itself where that is no list."""
        told = SQL(
            _HAVE + " IS NOT NULL AND EXISTS (SELECT FROM jsonb_array_elements(" + _LIST + ") AS members (item)"
            " WHERE item = ANY({1}::text[]::jsonb[]))"
        )
        return told.format(key, self._forms(values))

    def _forms(self, values: Sequence[Any]) -> Placeholder:
        return self.put([form for value in values for form in _forms(value)])


def _forms(value: Any) -> list[str]:
    """Every JSON value that equals `value` in Python, as far as jsonb can hold it."""
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return []
        return ["0", "false"] if value == 0 else ["1", "true"] if value == 1 else [number(value)]
    if value is None:
        return ["null"]
    if isinstance(value, str):
        return [json.dumps(value, ensure_ascii=False)] if sendable(value) else []
    if not isinstance(value, list):
        raise _UntoldError
    members = [_forms(item) for item in value]
    if math.prod(map(len, members)) > _MOST_FORMS:
        raise _UntoldError
    return [f"[{','.join(combination)}]" for combination in product(*members)]


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _all(parts: Sequence[Composable]) -> Composable:
    return SQL("({})").format(SQL(" AND ").join(parts)) if parts else _TRUE


def _comparing(sign: SQL) -> Callable[[_Writer, Placeholder, Any], Composable]:
    return lambda writer, key, value: writer.ordered(sign, key, value)


_OPERATORS: Mapping[str, Callable[[_Writer, Placeholder, Any], Composable]] = {
    "==": lambda writer, key, value: writer.inside(key, [value]),
    "in": _Writer.inside,
    "any": _Writer.some,
    "all": _Writer.every,
    "contains": _Writer.contains,
    "text_match": _Writer.within,
    "text_match_insensitive": _Writer.within_folded,
    "is_empty": _Writer.empty,
    ">": _comparing(SQL(">")),
    ">=": _comparing(SQL(">=")),
    "<": _comparing(SQL("<")),
    "<=": _comparing(SQL("<=")),
}
