"""What a metadata filter means: the one definition that every store is held to.

A store that cannot evaluate LlamaIndex's `MetadataFilters` itself asks `matches` for each candidate. Values compare as in
Python (`1`, `1.0` and `True` are equal); values of different types are unequal and have no order, nor have booleans. A key
that is missing or `None` satisfies `!=`, `nin` and `is_empty` alone. `contains` looks for a member of a list or a part of a
string.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

OPERATORS = (
    "==", "!=", ">", "<", ">=", "<=", "in", "nin", "any", "all", "contains", "text_match", "text_match_insensitive",
    "is_empty", "and", "or", "not",
)  # fmt: skip
"""Every operator and condition of LlamaIndex that ragkit knows: what the capability `filters` of a store lists."""


def matches(filters: MetadataFilters | None, metadata: Mapping[str, Any]) -> bool:
    """Whether `metadata` satisfies `filters`, nested to any depth; no filters are satisfied by everything.

    Raises `QueryError` for an operator that has no meaning here.
    """
    if filters is None or not filters.filters:
        return True
    results = (_part(part, metadata) for part in filters.filters)
    condition = str(getattr(filters.condition, "value", filters.condition) or "and")
    if condition == "and":
        return all(results)
    if condition == "or":
        return any(results)
    return not any(results)


def _part(part: Any, metadata: Mapping[str, Any]) -> bool:
    if hasattr(part, "filters"):
        return matches(part, metadata)
    return _holds(str(getattr(part.operator, "value", part.operator)), metadata.get(part.key), part.value)


def _holds(operator: str, have: Any, want: Any) -> bool:
    if operator == "is_empty":
        return have is None or have in ("", [])
    if operator in ("!=", "nin"):
        return have is None or not _holds("==" if operator == "!=" else "in", have, want)
    if have is None:
        return False
    if operator in _ORDER:
        return _ordered(operator, have, want)
    if operator in _PLAIN:
        return _PLAIN[operator](have, want)
    raise QueryError(f"the filter operator {operator!r} is unknown", cure=f"use one of {', '.join(OPERATORS)}")


def _ordered(operator: str, have: Any, want: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (have, want))
    if not numbers and not (isinstance(have, str) and isinstance(want, str)):
        return False
    if operator.startswith(">"):
        return bool(have > want or (operator == ">=" and have == want))
    return bool(have < want or (operator == "<=" and have == want))


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _within(part: Any, whole: Any) -> bool:
    return isinstance(part, str) and isinstance(whole, str) and part in whole


_ORDER = (">", ">=", "<", "<=")
_PLAIN: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda have, want: bool(have == want),
    "in": lambda have, want: have in _many(want),
    "any": lambda have, want: any(item in _many(have) for item in _many(want)),
    "all": lambda have, want: all(item in _many(have) for item in _many(want)),
    "contains": lambda have, want: want in have if isinstance(have, list) else _within(want, have),
    "text_match": lambda have, want: _within(want, have),
    "text_match_insensitive": lambda have, want: _within(_folded(want), _folded(have)),
}


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
