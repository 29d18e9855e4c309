"""What a metadata filter means: the one definition that every store is held to.

A store that cannot evaluate LlamaIndex's `MetadataFilters` itself asks `matches`, or `matcher` where there are many to look at.

- Values compare as in Python (`1`, `1.0` and `True` are equal); values of different types are unequal and have no order, nor
  have booleans and lists.
- Two texts have the order of their characters, unless both are ISO 8601 dates or times (`2024-05-01`,
  `2024-05-01T10:00:00+02:00`, `2024-05-01 08:00Z`): these have the order of the moments that they name, to the microsecond. A
  date without a time is its midnight, and a time without an offset from UTC is in UTC.
- Equality is always of what is written: `2024-05-01T00:00Z` is not `==` to `2024-05-01`, though it is both `>=` and `<=`.
- A `date` or `datetime` of Python, in the metadata or in a filter, counts as the text of its `isoformat()`, which is how the
  ledger keeps it.
- A key that is missing or `None` satisfies `!=`, `nin` and `is_empty` alone. `is_empty` holds of those, of `""` and of `[]`.
- `contains` looks for a member of a list or a part of a text. `not` holds where none of its parts does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

Metadata = Mapping[str, Any]

OPERATORS = (
    "==", "!=", ">", "<", ">=", "<=", "in", "nin", "any", "all", "contains", "text_match", "text_match_insensitive",
    "is_empty", "and", "or", "not",
)  # fmt: skip
"""Every operator and condition of LlamaIndex that ragkit knows: what the capability `filters` of a store lists."""

_ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII | re.IGNORECASE
)
_LONGEST = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AS_THEY_ARE = frozenset({str, int, float, bool})


def matches(filters: MetadataFilters | None, metadata: Metadata) -> bool:
    """Whether `metadata` satisfies `filters`, nested to any depth; no filters are satisfied by everything.

    Raises `QueryError` for an operator that has no meaning here.
    """
    return matcher(filters)(metadata)


def matcher(filters: MetadataFilters | None) -> Callable[[Metadata], bool]:
    """`matches` for these `filters`, read once for any number of candidates."""
    parts = [_part(part) for part in filters.filters] if filters is not None else []
    if filters is None or not parts:
        return lambda metadata: True
    condition = str(getattr(filters.condition, "value", filters.condition) or "and")
    if condition not in ("and", "or", "not"):
        raise QueryError(f"the filter condition {condition!r} is unknown", cure="use and, or, not")
    if len(parts) == 1 and condition != "not":
        return parts[0]

    def every(metadata: Metadata) -> bool:
        for part in parts:  # noqa: SIM110 - a generator takes twice as long
            if not part(metadata):
                return False
        return True

    def some(metadata: Metadata) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(metadata):
                return True
        return False

    return every if condition == "and" else some if condition == "or" else lambda metadata: not some(metadata)


def comparisons(filters: Any) -> Iterator[Any]:
    """Every comparison in filters, at any depth: what has `key`, `operator` and `value`."""
    for part in filters.filters if filters is not None else ():
        if hasattr(part, "key"):
            yield part
        else:
            yield from comparisons(part)


def instant(text: str) -> timedelta | None:
    """The moment that an ISO 8601 date or time names, as the time since 1970 in UTC; None for any other text."""
    if 10 <= len(text) <= _LONGEST and text[4] == "-":
        return _instant(text)
    return None


def no_date(text: str) -> bool:
    """Whether the text has the form of a date or time and yet names no moment, like `2024-02-30`."""
    return instant(text) is None and _ISO_8601.fullmatch(text) is not None


@lru_cache(maxsize=4096)  # the chunks of a document share its dates
def _instant(text: str) -> timedelta | None:
    if not _ISO_8601.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH


def _part(part: Any) -> Callable[[Metadata], bool]:
    if not hasattr(part, "key"):
        return matcher(part)
    key, operator, want = part.key, str(getattr(part.operator, "value", part.operator)), plain(part.value)
    if operator in _ORDER:
        test = _order(_ORDER[operator], want)
    elif operator in _TESTS:
        test = _TESTS[operator](want)
    else:
        raise QueryError(f"the filter operator {operator!r} is unknown", cure=f"use one of {', '.join(OPERATORS)}")
    missing = operator in ("!=", "nin", "is_empty")

    def holds(metadata: Metadata) -> bool:
        have = metadata.get(key)
        if have is None:
            return missing
        return test(have if have.__class__ in _AS_THEY_ARE else plain(have))

    return holds


def plain(value: Any) -> Any:
    """A value with the dates in it as texts; anything else as it is."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list) and any(isinstance(item, date | list) for item in value):
        return [plain(item) for item in value]
    return value


def _order(compare: Callable[[Any, Any], Any], want: Any) -> Callable[[Any], bool]:
    if isinstance(want, str):
        moment = instant(want)

        def text(have: Any) -> bool:
            if not isinstance(have, str):
                return False
            if moment is not None and (other := instant(have)) is not None:
                return bool(compare(other, moment))
            return bool(compare(have, want))

        return text
    if isinstance(want, int | float) and not isinstance(want, bool):
        return lambda have: isinstance(have, int | float) and not isinstance(have, bool) and bool(compare(have, want))
    return lambda have: False


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _within(part: Any, whole: Any) -> bool:
    return isinstance(part, str) and isinstance(whole, str) and part in whole


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_TESTS: Mapping[str, Callable[[Any], Callable[[Any], bool]]] = {
    "==": lambda want: lambda have: bool(have == want),
    "!=": lambda want: lambda have: not have == want,  # noqa: SIM201 - the opposite of `==`, by definition
    "in": lambda want: lambda have: have in _many(want),
    "nin": lambda want: lambda have: have not in _many(want),
    "any": lambda want: lambda have: any(item in _many(have) for item in _many(want)),
    "all": lambda want: lambda have: all(item in _many(have) for item in _many(want)),
    "contains": lambda want: lambda have: want in have if isinstance(have, list) else _within(want, have),
    "text_match": lambda want: lambda have: _within(want, have),
    "text_match_insensitive": lambda want: lambda have: _within(_folded(want), _folded(have)),
    "is_empty": lambda want: lambda have: have in ("", []),
}
