"""Why a filter let nothing pass, as far as it may be a slip: a key that no chunk has, a value of another type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ragkit.filters import comparisons
from ragkit.host.words import nearest

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

    from ragkit.state.reader import Reader

_SAMPLE = 1_000
_LISTED = 12
_SAME_TYPE = frozenset({"==", "in", ">", ">=", "<", "<="})
"""The operators that hold for no value of another type."""


def why_nothing(reader: Reader, filters: MetadataFilters) -> list[str]:
    """Sentences about the keys in `filters` that no chunk has, and about those whose values are all of other types.

    Types are those in the first 1,000 documents.
    """
    compared = list(comparisons(filters))
    values = _values(reader)
    missing = [key for key in dict.fromkeys(part.key for part in compared) if not reader.has_key(key)]
    return [*(_missing(key, list(values)) for key in missing), *dict.fromkeys(_mistyped(compared, values))]


def _values(reader: Reader) -> dict[str, dict[str, Any]]:
    """By key the types of its values, each with an example."""
    found: dict[str, dict[str, Any]] = {"source": {}, "uri": {}, "title": {}}
    for document in islice(reader.documents(texts=False), _SAMPLE):
        place = {"source": document.source, "uri": document.uri, "title": document.title}
        for key, value in {**document.metadata, **place}.items():
            types = found.setdefault(key, {})
            if value not in (None, ""):
                types.setdefault(_type(value), value)
    return found


def sample(reader: Reader, most: int = 8) -> dict[str, list[Any]]:
    """The keys of a sample of the documents, each with up to `most` of its values, the frequent ones first."""
    seen: dict[str, Counter[Any]] = {}
    for document in islice(reader.documents(texts=False), _SAMPLE):
        for key, value in {**document.metadata, "source": document.source, "uri": document.uri}.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, str | int | float) and one != "":
                    seen.setdefault(key, Counter())[one] += 1
    return {key: [value for value, _ in values.most_common(most)] for key, values in seen.items()}


def _missing(key: str, known: Sequence[str]) -> str:
    meant = nearest(key, known)
    listed = f"{', '.join(sorted(known)[:_LISTED])}{', …' if len(known) > _LISTED else ''}"
    return f"no chunk has the key {key!r}; " + (f"did you mean {meant!r}?" if meant else f"there is: {listed}")


def _mistyped(compared: Sequence[Any], values: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for part in compared:
        have = values.get(part.key)
        operator = str(getattr(part.operator, "value", part.operator))
        want = [_type(value) for value in (part.value if isinstance(part.value, list) else [part.value])]
        if not have or operator not in _SAME_TYPE or any(_compare(one, other) for one in have for other in want):
            continue
        example = str(next(iter(have.values())))
        shown = example if len(example) <= 40 else f"{example[:37]}…"
        told = f"{part.key!r} is a {' or a '.join(sorted(have))}, such as {shown}, and never a {' or a '.join(sorted({*want}))}"
        yield told + _cure(part.key, have, want)


def _compare(one: str, other: str) -> bool:
    return one == other or {one, other} == {"number", "truth value"}


def _cure(key: str, have: Mapping[str, Any], want: Sequence[str]) -> str:
    if "list" in have:
        return f"; write: {key} contains …"
    if "text" in have and "number" in want:
        return "; put the value in quotes"
    if "number" in have and "text" in want:
        return "; write the value without quotes"
    return ""


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "truth value"
    names = {"number": int | float, "text": str, "list": list}
    return next((name for name, kind in names.items() if isinstance(value, kind)), "mapping")
