"""LlamaIndex's filters as Pinecone's, as far as both mean the same.

Pinecone is told that every record passes which may pass. Whether that says all is the second half of each answer here; where it
does not, hits still need `ragkit.filters.matches`. Of a missing field Pinecone lets neither `$eq` nor `$ne` hold, so what holds
of a missing key is asked for with `$exists`. See `ragkit_pinecone.records` for the fields that begin with `_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from ragkit_pinecone.records import DOCUMENT, EXACT, KINDS, MEMBERS, named, short

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

Where = dict[str, Any]
Said = tuple[Where | None, bool]
"""What to filter by (None: nothing), and whether that lets pass exactly what passes."""

_ORDER = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_OPPOSITE = {"==": "!=", "!=": "==", "in": "nin", "nin": "in", "is_empty": "exists"}


def translate(filters: MetadataFilters | None, documents: Sequence[str] | None = None) -> Said:
    """What Pinecone should filter by, and whether that says all. `documents` restricts to chunks of these documents."""
    where, whole = _several(filters) if filters is not None else (None, True)
    parts = [{DOCUMENT: {"$in": list(documents)}}] if documents else []
    return _join("$and", [*parts, *([where] if where is not None else [])]), whole


def _several(filters: Any) -> Said:
    condition = str(getattr(filters.condition, "value", filters.condition) or "and")
    if not filters.filters:
        return None, True
    said = list(map(_negated if condition == "not" else _part, filters.filters))  # `not`: none of them holds
    narrowing = [where for where, _ in said if where is not None]
    if condition == "or" and len(narrowing) < len(said):
        return None, False
    return _join("$or" if condition == "or" else "$and", narrowing), all(whole for _, whole in said)


def _part(part: Any) -> Said:
    return _several(part) if hasattr(part, "filters") else _one(part.key, _operator(part), _plain(part.value))


def _negated(part: Any) -> Said:
    """An order is not negated: of a missing key neither `>` nor `<=` holds."""
    if hasattr(part, "filters"):
        return None, False
    return _one(part.key, _OPPOSITE.get(_operator(part), ""), _plain(part.value))


def _operator(part: Any) -> str:
    return str(getattr(part.operator, "value", part.operator))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, date) else value


def _one(key: str, operator: str, value: Any) -> Said:
    """One comparison."""
    if not named(key):
        return None, False
    if operator in _ORDER:
        return _ordered(key, _ORDER[operator], value)
    if operator == "exists":
        return _kind("h", key), True
    if operator in ("==", "!=", "in", "nin"):
        of_lists = operator in ("in", "nin")
        listed = value if of_lists and isinstance(value, list) else [value]
        return _among(key, inside=operator in ("==", "in"), values=listed)
    if operator in ("any", "all"):
        return _members(key, "$or" if operator == "any" else "$and", value if isinstance(value, list) else [value])
    if operator == "contains":
        return _containing(key, value)
    if operator in ("text_match", "text_match_insensitive"):
        return _kind("s", key), False
    return None, False


def _ordered(key: str, operator: str, value: Any) -> Said:
    if isinstance(value, str):
        return _kind("s", key), False  # Pinecone orders numbers alone
    return ({key: {operator: value}}, True) if _number(value) else (None, False)


def _among(key: str, *, inside: bool, values: list[Any]) -> Said:
    """Whether the field is one of `values`. Pinecone keeps numbers and booleans apart, Python's `1 == True` does not."""
    seen = [value for value in values if _number(value) or isinstance(value, bool) or (isinstance(value, str) and short(value))]
    if not values or len(seen) < len(values):
        return None, False
    texts = [value for value in seen if isinstance(value, str)]
    numbers = list({float(value) for value in seen if not isinstance(value, str)})
    truths = [bool(number) for number in numbers if number in (0.0, 1.0)]
    if inside:
        parts = [{key: {"$in": group}} for group in (texts, numbers) if group]
        return _join("$or", [*parts, *({key: {"$eq": truth}} for truth in truths)]), True
    parts = [{key: {"$nin": group}} for group in (texts, numbers) if group]
    differs = _join("$and", [*parts, *({key: {"$ne": truth}} for truth in truths)])
    return {"$or": [{key: {"$exists": False}}, differs]}, True


def _members(key: str, join: str, values: list[Any]) -> Said:
    """Whether some or all of `values` are in the field, a list or a single value."""
    if not values or not all(isinstance(value, str) and short(value) for value in values):
        return None, False
    if join == "$or":
        return {"$or": [{key: {"$in": values}}, {MEMBERS + key: {"$in": values}}]}, True
    return _join("$and", [{"$or": [{key: {"$eq": value}}, {MEMBERS + key: {"$eq": value}}]} for value in values]), True


def _containing(key: str, value: Any) -> Said:
    """A member of a list, or a part of a text, which Pinecone does not look into: the texts among the hits are judged here."""
    if isinstance(value, str):
        members = {MEMBERS + key: {"$eq": value}} if short(value) else _kind("l", key)
        return {"$or": [members, _kind("s", key)]}, False
    return _kind("l", key), False


def _kind(kind: str, key: str) -> Where:
    return {KINDS: {"$eq": f"{kind}:{key}"}}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < EXACT


def _join(operator: str, parts: Sequence[Where | None]) -> Where | None:
    joined = [part for part in parts if part is not None]
    return {operator: joined} if len(joined) > 1 else joined[0] if joined else None
