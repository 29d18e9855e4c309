"""What a filter means, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from ragkit.errors import QueryError
from ragkit.filters import OPERATORS, matches


class Filter:
    def __init__(self, key: str, operator: str, value: Any = None) -> None:
        self.key, self.operator, self.value = key, operator, value


class Filters:
    def __init__(self, *filters: Any, condition: str = "and") -> None:
        self.filters, self.condition = filters, condition


@pytest.mark.parametrize(
    ("have", "operator", "want", "holds"),
    [
        (1, "==", 1.0, True), ("1", "==", 1, False), (True, "==", 1, True), (["a"], "==", "a", False), (2, "!=", 1, True),
        (2, ">", 1, True), (1, ">", 1, False), (1, ">=", 1, True), (1, "<", 2, True), (2, "<=", 1, False),
        ("b", ">", "a", True), ("2", ">", 1, False), (True, ">", 0, False), ("2024-05-01", ">=", "2024", True),
        ("a", "in", ["a", "b"], True), ("c", "in", ["a", "b"], False), ("c", "nin", ["a", "b"], True), ("a", "in", [], False),
        (["a", "b"], "any", ["b", "c"], True), (["a"], "any", ["b"], False), (["a", "b"], "all", ["a", "b"], True),
        (["a"], "all", ["a", "b"], False), (["a", "b"], "contains", "a", True), ("a word", "contains", "wor", True),
        (7, "contains", 7, False), ("a Word", "text_match", "word", False), ("a Word", "text_match_insensitive", "wORD", True),
        ("", "is_empty", None, True), ([], "is_empty", None, True), (0, "is_empty", None, False),
    ],
)  # fmt: skip
def test_one_comparison(have: Any, operator: str, want: Any, holds: bool) -> None:
    assert matches(Filters(Filter("key", operator, want)), {"key": have}) is holds


@pytest.mark.parametrize("operator", [operator for operator in OPERATORS if operator not in ("and", "or", "not")])
@pytest.mark.parametrize("metadata", [{}, {"key": None}])
def test_a_missing_key_satisfies_only_what_denies(operator: str, metadata: dict[str, Any]) -> None:
    holds = operator in ("!=", "nin", "is_empty")
    assert matches(Filters(Filter("key", operator, ["a"] if operator in ("in", "nin", "any", "all") else "a")), metadata) is holds


def test_conditions_nest() -> None:
    yes, no = Filter("a", "==", 1), Filter("a", "==", 2)
    assert matches(None, {}) is matches(Filters(), {}) is matches(Filters(Filters(), yes), {"a": 1}) is True
    assert matches(Filters(yes, no), {"a": 1}) is False
    assert matches(Filters(yes, no, condition="or"), {"a": 1}) is True
    assert matches(Filters(yes, no, condition="not"), {"a": 1}) is False
    assert matches(Filters(no, condition="not"), {"a": 1}) is True
    assert matches(Filters(yes, Filters(no, condition="not")), {"a": 1}) is True


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(QueryError, match=r"'~'[\s\S]*text_match"):
        matches(Filters(Filter("a", "~", 1)), {"a": 1})
