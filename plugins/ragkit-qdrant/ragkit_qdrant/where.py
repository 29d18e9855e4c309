"""LlamaIndex's filters as Qdrant's, as far as both mean the same; as the JSON of its REST API."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragkit.filters import instant
from ragkit_qdrant.records import COMPLEX, DOCUMENT, LISTS, METADATA, MOMENTS, filterable, is_point, microseconds, path

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

Where = dict[str, Any]
"""A condition: a comparison, or a filter of conditions."""

NEVER: Where = {"key": "never", "match": {"value": "-"}}
"""A key that no payload has. An empty `should` or `any` would say the same to some versions, and nothing to others."""

_EXACT = 2**53
"""Below this every integer is a float; Qdrant compares numbers as floats."""
_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def translate(
    filters: MetadataFilters | None, documents: Sequence[str] | None = None, ids: Sequence[str] | None = None
) -> tuple[Where | None, bool]:
    """What Qdrant should filter by, and whether that says all: if not, its hits still need `ragkit.filters.matcher`.

    `documents` restricts to chunks of these documents, `ids` to these chunks.
    """
    parts: list[Where] = []
    if documents:
        parts.append({"key": DOCUMENT, "match": {"any": list(documents)}})
    if ids is not None:
        known = [id_ for id_ in dict.fromkeys(ids) if is_point(id_)]
        parts.append({"has_id": known} if known else NEVER)
    whole = True
    if filters is not None and filters.filters:
        if _condition(filters) == "and":
            translated = [_part(part) for part in filters.filters]
            nearly = [_nearly(part) if where is None else where for part, where in zip(filters.filters, translated, strict=True)]
            parts += [where for where in nearly if where is not None]
            whole = None not in translated
        else:
            where = _filters(filters)
            parts += [where] if where is not None else []
            whole = where is not None
    return ({"must": parts} if parts else None), whole


def _condition(filters: Any) -> str:
    return str(getattr(filters.condition, "value", filters.condition) or "and")


def _filters(filters: Any) -> Where | None:
    """The filters as one condition, or None where Qdrant cannot say all of it."""
    if not filters.filters:
        return {"must_not": [NEVER]}
    parts = [_part(part) for part in filters.filters]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    clause = {"and": "must", "or": "should", "not": "must_not"}.get(_condition(filters))
    return {clause: known} if clause else None


def _part(part: Any) -> Where | None:
    if not hasattr(part, "key"):
        return _filters(part)
    operator = str(getattr(part.operator, "value", part.operator))
    if not isinstance(part.key, str) or not filterable(part.key):
        return None
    if operator in ("!=", "nin"):
        where = _one(part.key, "==" if operator == "!=" else "in", part.value)
        return None if where is None else {"must_not": [where]}
    return _one(part.key, operator, part.value)


def _nearly(part: Any) -> Where | None:
    """What all that satisfy the comparison satisfy, and few others; None where there is no such thing.

    Of dates: Qdrant has no order of texts, which others under the same key may be compared by.
    """
    operator = str(getattr(getattr(part, "operator", ""), "value", ""))
    value = getattr(part, "value", None)
    moment = instant(value) if isinstance(value, str) and operator in _BOUNDS else None
    if moment is None or not filterable(part.key):
        return None
    place, bound = path(MOMENTS, part.key), "gte" if operator.startswith(">") else "lte"
    return {"should": [{"key": place, "range": {bound: microseconds(moment)}}, {"is_empty": {"key": place}}]}


def _one(key: str, operator: str, value: Any) -> Where | None:
    """One comparison, or None where Qdrant has none that means the same."""
    single, members = path(METADATA, key), path(LISTS, key)
    many = value if isinstance(value, list) else [value]
    match operator:
        case "==":
            return NEVER if value is None else _any_of(single, [value])
        case "in":
            return _any_of(single, [one for one in many if one is not None])
        case ">" | ">=" | "<" | "<=":
            return _ordered(single, _BOUNDS[operator], value)
        case "any":
            within = [_any_of(place, many) for place in (single, members)]
            return None if None in within else {"should": within}
        case "all":
            each = [_one(key, "any", [one]) for one in many]
            return {"must": each} if each and None not in each else None
        case "contains" if isinstance(value, bool | int | float):
            return _any_of(members, [value])
        case "is_empty":
            nothing = {"should": [{"is_empty": {"key": single}}, {"key": single, "match": {"value": ""}}]}
            named = {"key": COMPLEX, "match": {"value": key}}
            return {"must": [nothing, {"is_empty": {"key": members}}], "must_not": [named]}
    return None


def _ordered(place: str, bound: str, value: Any) -> Where | None:
    if isinstance(value, bool):
        return NEVER
    if isinstance(value, int | float):
        return {"key": place, "range": {bound: value}} if _exact(value) else None
    return None if isinstance(value, str) else NEVER


def _any_of(place: str, values: Sequence[Any]) -> Where | None:
    """Whether what lies at `place`, or a member of it, is one of `values`; `1`, `1.0` and `True` are the same."""
    if not all(isinstance(value, str) or (isinstance(value, int | float) and _exact(value)) for value in values):
        return None
    strings = [value for value in values if isinstance(value, str)]
    numbers = list(dict.fromkeys(float(value) for value in values if not isinstance(value, str)))
    found: list[Where] = [{"key": place, "match": {"any": strings}}] if strings else []
    for number in numbers:
        found.append({"key": place, "range": {"gte": number, "lte": number}})
        if number in (0.0, 1.0):
            found.append({"key": place, "match": {"value": bool(number)}})
    return {"should": found} if found else NEVER


def _exact(number: float) -> bool:
    return math.isfinite(number) and abs(number) < _EXACT
