"""Filters: every store lets the same chunks pass, those of which `ragkit.filters.matches` says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ragkit.errors import RagkitError
from ragkit.filters import matches
from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.stores import MANY, Opened, chunk, uid, uids
from ragkit.testing.conformance.suite import Opener, StoreSuite

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

METADATA: dict[str, dict[str, Any]] = {
    "numbers": {"year": 2019, "rank": 1, "draft": True},
    "zero": {"year": 2020, "rank": 0, "draft": False},
    "floats": {"year": 2020.0, "rank": 2.5, "Größe in m": "groß"},
    "strings": {"year": "2020", "rank": "1", "kind": "post", "when": "2020-01-31"},
    "case": {"kind": "Post", "when": "2021", "a.b": "post"},
    "sentence": {"kind": "a long post on “quotes” and 100 %", "doc_id": "post", "_node_content": "post"},
    "lists": {"tags": ["red", "blue"], "rank": [1, 2], "$ref": "post"},
    "short lists": {"tags": ["red"], "rank": [2.5], "year": [2020]},
    "mixed": {"tags": ["red", 1, True], "rank": [1, 2.5], "year": ["2020", 2020]},
    "nested": {"tags": {"red": "blue"}, "kind": {"post": ["post"]}, "rank": [[1, 2]]},
    "empty": {"tags": [], "kind": "", "rank": []},
    "none": {"year": None, "kind": None, "tags": None},
    "large": {"kind": f"{'x' * 10_000} post", "rank": 2**53 - 1, "tags": [f"tag {i}" for i in range(300)]},
    "bare": {},
    "day": {"when": "2024-05-01"},
    "moment": {"when": "2024-05-01T10:00:00+02:00"},
    "same moment": {"when": "2024-05-01 08:00Z"},
    "moment after": {"when": "2024-05-01T08:00:00.25", "kind": "2024-05-02"},
    "before its offset": {"when": "2024-04-30T23:30:00-01:00"},
    "no date": {"when": "2024-05-32", "kind": "2024-05-01 or so"},
    "dates": {"when": ["2024-05-01", "2024-05-02"], "rank": 2024},
}
"""Every type that a document's metadata may have, the same keys with several of them, and names that clients use themselves.

Dates and times are texts: the host hands stores only what JSON has.
"""

KEYS = ("year", "rank", "draft", "kind", "tags", "when", "Größe in m", "a.b", "doc_id", "_node_content", "$ref", "missing")
ONE: tuple[Any, ...] = (2020, 1, 0, 2.5, "2020", "post", "red", "")
DATES = ("2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T08:00:00+00:00", "2024-05-01 10:00+02:00", "2024-05")
SEVERAL: tuple[Any, ...] = (["red", "blue"], ["post", ""], [2020, 1], [2.5, 0.0], [])
OF_LISTS = ("in", "nin", "any", "all")


def one(key: str, operator: str, value: Any) -> Any:
    """One comparison."""
    from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter

    return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)


def several(condition: str, *parts: Any) -> MetadataFilters:
    """Several under one condition."""
    from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters

    return MetadataFilters(filters=list(parts), condition=FilterCondition(condition))


def equal(key: str, value: Any) -> MetadataFilters:
    """A filter for one value of a key."""
    return several("and", one(key, "==", value))


def comparisons(operator: str) -> list[MetadataFilters]:
    """Every key of `METADATA` compared with values of every type."""
    if operator == "is_empty":
        return [several("and", one(key, operator, None)) for key in KEYS]
    values = [*SEVERAL, *ONE[:3]] if operator in OF_LISTS else [*ONE, *SEVERAL[:2], None]
    dates = [[*DATES[:3]]] if operator in OF_LISTS else DATES
    asked = [*((key, value) for key in KEYS for value in values), *(("when", value) for value in dates)]
    return [several("and", one(key, operator, value)) for key, value in asked]


def nested(operators: Sequence[str]) -> list[MetadataFilters]:
    """Filters of filters, of those conditions that are among `operators`."""
    year, kind, none = one("year", "==", 2020), one("kind", "==", "post"), one("missing", "==", "x")
    conditions = [condition for condition in ("and", "or", "not") if condition in operators]
    flat = [several(condition, *parts) for condition in conditions for parts in ((year, kind), (year,), (none, kind))]
    deep = [several(condition, part, kind) for condition in conditions for part in flat]
    return [*flat, *deep, *(several(condition, *flat[:2]) for condition in conditions), several("and")]


class FilteringTests(StoreSuite):
    """Filters mean the same in every store."""

    @needs(lambda claims: claims.operators)
    def test_a_filter_lets_pass_what_matches(self, operator: str, opener: Opener) -> None:
        """Let each operator mean what `ragkit.filters.matches` says, for every type of value and for missing keys.

        Where the store's own filter means something else, fetch more and ask `matches` (ragkit_chroma shows how), or take the
        operator out of the capability `filters`: then ragkit does it. The order of dates is that of the moments that they
        name, whatever the offsets from UTC they are written with; an engine that compares texts must not be asked for it.
        """
        store = _filled(opener)
        wrong = [problem for filters in comparisons(operator) if (problem := _problem(store, filters))]
        assert wrong == []

    @needs(lambda claims: {"==", "and"} <= {*claims.operators})
    def test_conditions_nest(self, opener: Opener) -> None:
        """Let `and`, `or` and `not` (none of its parts holds) nest to any depth, and no filters let everything pass."""
        store = _filled(opener)
        wrong = [problem for filters in nested(self.claims().operators) if (problem := _problem(store, filters))]
        assert wrong == []

    @needs(lambda claims: claims.other_operators)
    def test_a_filter_that_is_not_claimed_is_refused_or_right(self, other_operator: str, opener: Opener) -> None:
        """Raise an error for a filter that the store cannot evaluate: to ignore it would give wrong answers in silence."""
        store = _filled(opener)
        if other_operator in ("and", "or", "not"):
            asked = several(other_operator, one("year", "==", 2020), one("kind", "==", "post"))
        else:
            asked = comparisons(other_operator)[-1]
        try:
            problem = _problem(store, asked)
        except (RagkitError, NotImplementedError, ValueError):
            return
        assert problem is None

    @needs(lambda claims: claims.filters)
    def test_few_that_pass_still_fill_top_k(self, opener: Opener) -> None:
        """Filter before the best `top_k` are taken, or fetch more until they are full: the hits that pass may come last."""
        store = opener()
        rare = [f"rare-{i}" for i in range(3)]
        store.put(
            *(chunk(f"{i}", "common", metadata={"group": f"many {i % 7}", "size": i % 7}) for i in range(400)),
            *(chunk(name, "common red blue", metadata={"group": "rare one", "size": 99, "tags": ["rare"]}) for name in rare),
        )
        compared = {
            "==": ("group", "rare one"), "in": ("group", ["rare one", "x"]), "contains": ("group", "are o"), ">": ("size", 50),
            ">=": ("size", 99), "any": ("tags", ["rare", "x"]), "all": ("tags", ["rare"]), "text_match": ("group", "are"),
            "text_match_insensitive": ("group", "RARE"),
        }  # fmt: skip
        for operator in compared.keys() & {*self.claims().operators}:
            key, value = compared[operator]
            ids, _ = store.search("common", 3, filters=several("and", one(key, operator, value)))
            assert sorted(ids) == uids(rare), operator


def _filled(opener: Opener) -> Opened:
    store = opener()
    store.put(*(chunk(name, "common", metadata=metadata) for name, metadata in METADATA.items()))
    return store


def _problem(store: Opened, filters: MetadataFilters) -> str | None:
    """What is wrong with the answer to a filter; the hits of a small `top_k` have to be among those of a large one."""
    names = {uid(name): name for name in METADATA}
    expected = {name for name, metadata in METADATA.items() if matches(filters, metadata)}
    found = {names[id_] for id_ in store.search("common", MANY, filters=filters)[0]}
    best = {names[id_] for id_ in store.search("common", 1, filters=filters)[0]}
    if found == expected and best <= expected and len(best) == min(1, len(expected)):
        return None
    asked = filters.model_dump(mode="json")
    return f"{asked}: missing {sorted(expected - found)}, wrong {sorted(found - expected)}, best {sorted(best)}"
