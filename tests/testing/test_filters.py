"""What a filter means, case by case."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import QueryError
from ragkit.filters import OPERATORS, instant, matcher, matches


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


DAY, ZONED, UTC_TIME = "2024-05-01", "2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00Z"


@pytest.mark.parametrize(
    ("have", "operator", "want", "holds"),
    [
        (ZONED, ">=", UTC_TIME, True), (ZONED, "<=", UTC_TIME, True), (ZONED, ">", UTC_TIME, False),
        (ZONED, "<", UTC_TIME, False),
        (ZONED, "==", UTC_TIME, False), (ZONED, "!=", UTC_TIME, True), (ZONED, "in", [UTC_TIME], False),
        (UTC_TIME, ">", DAY, True), (DAY, "<", UTC_TIME, True), (UTC_TIME, "<=", DAY, False), (DAY, ">=", DAY, True),
        ("2024-05-01T00:00Z", "<=", DAY, True), ("2024-05-01T00:00", ">=", DAY, True), ("2024-05-01T00:00Z", "==", DAY, False),
        ("2024-05-01T00:30:00+02:00", "<", DAY, True), ("2024-04-30T23:30-01:00", ">", DAY, True),
        ("2024-05-01 08:00:00", ">=", ZONED, True), ("2024-05-01t08:00z", "<=", ZONED, True),
        ("2024-05-01T08:00:00.000001Z", ">", ZONED, True), ("2024-05-01T08:00:00,5Z", ">", ZONED, True),
        ("2024-05-01T10:00+0200", ">=", UTC_TIME, True), ("2024-05-01T10:00+02", "<=", UTC_TIME, True),
        ("0001-01-01T00:00+14:00", "<", "0001-01-01T00:00Z", True), ("9999-12-31T23:59-12:00", ">", "9999-12-31T23:59Z", True),
        # not dates: the order of texts
        ("2024-05-01T9:00", ">", "2024-05-01T10:00Z", True), ("2024-05-32", ">", DAY, True), ("2024-5-2", ">", DAY, True),
        ("2024", "<", DAY, True), ("2024-05", "<", DAY, True), ("soon", ">", DAY, True), ("20240502", ">", DAY, True),
        (f"{DAY} or so", ">", DAY, True), ("２０２４-05-01", ">", DAY, True), (f"{DAY}T24:00", ">", f"{DAY}T23:59Z", True),
        # other types
        (2024, "<", DAY, False), (DAY, ">", 2024, False), ([DAY], ">=", DAY, False),
        # Python's own
        (date(2024, 5, 1), ">=", DAY, True), (datetime(2024, 5, 1, 8, tzinfo=UTC), "<=", ZONED, True),
        (DAY, "<", datetime(2024, 5, 1, 8, tzinfo=UTC), True), (DAY, "==", date(2024, 5, 1), True),
        ([date(2024, 5, 1)], "contains", DAY, True), (date(2024, 5, 1), "in", [DAY], True),
        (date(2024, 5, 1), "contains", "05", True),
    ],
)  # fmt: skip
def test_dates(have: Any, operator: str, want: Any, holds: bool) -> None:
    assert matches(Filters(Filter("key", operator, want)), {"key": have}) is holds


@given(st.datetimes(timezones=st.timezones() | st.none()), st.datetimes(timezones=st.timezones() | st.none()))
def test_dates_have_the_order_of_the_moments_that_they_name(one: datetime, other: datetime) -> None:
    moments = [value if value.tzinfo else value.replace(tzinfo=UTC) for value in (one, other)]
    # `isoformat` writes offsets of seconds, which ISO 8601 has not
    if any(moment.utcoffset().seconds % 60 for moment in moments):  # type: ignore[union-attr]
        return
    for operator, holds in (("<", moments[0] < moments[1]), (">=", moments[0] >= moments[1])):
        for have, want in ((one, other), (one.isoformat(), other.isoformat(" "))):
            assert matches(Filters(Filter("at", operator, want)), {"at": have}) is holds


def test_a_long_text_is_not_kept() -> None:
    assert instant("2024-05-01" + "x" * 1_000_000) is None
    assert instant("") is None


def test_filters_are_read_once_for_many() -> None:
    class Counted(Filter):
        reads = 0

        @property
        def value(self) -> int:
            Counted.reads += 1
            return 2020

        @value.setter
        def value(self, value: Any) -> None: ...

    passes = matcher(Filters(Counted("year", ">=")))
    assert [passes({"year": year}) for year in (2019, 2020, "2021")] == [False, True, False]
    assert Counted.reads == 1


def test_an_unknown_condition_is_named() -> None:
    with pytest.raises(QueryError, match="'xor'"):
        matches(Filters(Filter("a", "==", 1), condition="xor"), {})
