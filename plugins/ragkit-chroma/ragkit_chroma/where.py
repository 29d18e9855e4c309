"""LlamaIndex's filters as Chroma's `where`, as far as both mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragkit_chroma.records import DOCUMENT, filterable

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

Where = dict[str, Any]

_ORDER = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_EXACT = 2**53
"""Up to here every integer is a float: beyond, Chroma's comparisons and Python's differ."""
_OPPOSITE = {"==": "!=", "!=": "==", "in": "nin", "nin": "in"}


def translate(filters: MetadataFilters | None, documents: Sequence[str] | None = None) -> tuple[Where | None, bool]:
    """What Chroma should filter by, and whether that says all: if not, its hits still need `ragkit.filters.matches`.

    `documents` restricts to chunks of these documents.
    """
    parts: list[Where] = [{DOCUMENT: {"$in": list(documents)}}] if documents else []
    whole = True
    if filters is not None and filters.filters:
        if _condition(filters) == "and":
            translated = [_part(part) for part in filters.filters]
            parts.extend(where for where in translated if where is not None)
            whole = None not in translated
        else:
            where = _filters(filters)
            whole = where is not None
            parts.extend([where] if where is not None else [])
    return (_join("$and", parts) if parts else None), whole


def predicates(where: Where | None) -> int:
    """How many comparisons a `where` has."""
    if not where:
        return 0
    return sum(sum(map(predicates, part)) if isinstance(part, list) else 1 for part in where.values())


def _condition(filters: Any) -> str:
    return str(getattr(filters.condition, "value", filters.condition) or "and")


def _part(part: Any) -> Where | None:
    if hasattr(part, "filters"):
        return _filters(part) if part.filters else None
    return _one(part.key, str(getattr(part.operator, "value", part.operator)), part.value)


def _filters(filters: Any) -> Where | None:
    condition = _condition(filters)
    if condition == "not":
        # None of the parts holds. An order is not negated: of a missing key neither `>` nor `<=` holds.
        parts = [
            None if hasattr(part, "filters") else _one(part.key, _OPPOSITE.get(str(part.operator.value), ""), part.value)
            for part in filters.filters
        ]
    else:
        parts = [_part(part) for part in filters.filters]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return _join("$or" if condition == "or" else "$and", known)


def _one(key: str, operator: str, value: Any) -> Where | None:
    """One comparison, or None where Chroma has none that means the same."""
    if not filterable(key):
        return None
    if operator in _ORDER:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _EXACT
        return {key: {_ORDER[operator]: value}} if number else None
    if operator in ("==", "!="):
        return None if isinstance(value, list) else _among(key, operator == "==", [value])
    if operator in ("in", "nin"):
        return _among(key, operator == "in", value if isinstance(value, list) else [value])
    return None


def _among(key: str, inside: bool, values: list[Any]) -> Where | None:
    """Whether the field is one of `values`. Chroma keeps strings, numbers and booleans apart, Python's `1 == True` does not."""
    strings = [value for value in values if isinstance(value, str)]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    truths = [bool(number) for number in numbers if number in (0.0, 1.0)]
    if not values or len(strings) + len(numbers) < len(values) or any(abs(number) > _EXACT for number in numbers):
        return None
    operator = "$in" if inside else "$nin"
    parts = [{key: {operator: group}} for group in (strings, numbers, truths) if group]
    return _join("$or" if inside else "$and", parts)


def _join(operator: str, parts: list[Where]) -> Where:
    return parts[0] if len(parts) == 1 else {operator: parts}
