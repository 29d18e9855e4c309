"""Filters written by hand: what is read, what it means, and what cannot be read."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from ragkit.errors import FilterError, QueryError
from ragkit.filters import And, Comparison, Exists, Filter, Not, Or, as_llama, comparisons, joined, matches, operators, parse
from ragkit.filters.language import MAX_CHARS


@pytest.mark.parametrize(
    ("text", "key", "operator", "value"),
    [
        ("year >= 2020", "year", ">=", 2020),
        ("year=2020", "year", "==", 2020),
        ("year == 2020", "year", "==", 2020),
        ("score < -1.5", "score", "<", -1.5),
        ("score <= 1e3", "score", "<=", 1000.0),
        ("kind != article", "kind", "!=", "article"),
        ("kind = 'a \"b\" c'", "kind", "==", 'a "b" c'),
        (r'kind = "it\"s"', "kind", "==", 'it"s'),
        ("date > 2020-01-01", "date", ">", "2020-01-01"),
        ("draft == true", "draft", "==", True),
        ("category in [article, post]", "category", "in", ["article", "post"]),
        ("category NOT IN [1, 2]", "category", "nin", [1, 2]),
        ("tags contains python", "tags", "contains", "python"),
        ("'a key' = 1", "a key", "==", 1),
        ("uri = docs/a.md", "uri", "==", "docs/a.md"),
        ("nothing = 1_000", "nothing", "==", "1_000"),
        ("word = and", "word", "==", "and"),
        ("year = 2020.", "year", "==", 2020.0),
        ("id = ٣", "id", "==", "٣"),
        ("date >= 2024-05-01", "date", ">=", "2024-05-01"),
        ("date < 2024-05-01T10:00:00+02:00", "date", "<", "2024-05-01T10:00:00+02:00"),
        ("date > '2024-05-01 10:00'", "date", ">", "2024-05-01 10:00"),
        ("kind = 'true'", "kind", "==", "true"),
        ("kind = 'null'", "kind", "==", "null"),
        ("tags contains true", "tags", "contains", True),
        ("draft in [true, no]", "draft", "in", [True, "no"]),
        ("exists = 1", "exists", "==", 1),
        ("exists in [1]", "exists", "in", [1]),
        ("'not' = 1", "not", "==", 1),
        ("in = 1", "in", "==", 1),
        (r"path = 'C:\\x'", "path", "==", "C:\\x"),
        ("a = 'two\nlines'", "a", "==", "two\nlines"),
        ("not exists year", "year", "is_empty", None),
        ("year not exists", "year", "is_empty", None),
    ],
)
def test_one_comparison(text, key, operator, value):
    (item,) = as_llama(text).filters
    assert (item.key, item.operator.value, item.value) == (key, operator, value)
    assert type(item.value) is type(value)


def test_and_binds_tighter_than_or():
    parsed = as_llama("a = 1 or b = 2 and c = 3")
    assert parsed.condition == FilterCondition.OR
    assert isinstance(parsed.filters[1], MetadataFilters)
    assert parsed.filters[1].condition == FilterCondition.AND


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("(a = 1 or b = 2) and not c = 3", {"a": 1}, True),
        ("(a = 1 or b = 2) and not c = 3", {"b": 2, "c": 3}, False),
        ("not (a = 1 and b = 2)", {"a": 1, "b": 3}, True),
        ("year >= 2020 and category in [article, post]", {"year": 2021, "category": "post"}, True),
        ("year >= 2020 and category in [article, post]", {"year": 2021, "category": "page"}, False),
        ("draft = false", {"draft": False}, True),
    ],
)
def test_what_is_parsed_means_what_it_says(text, fields, expected):
    assert matches(as_llama(text), fields) is expected


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("exists year", Exists("year")),
        ("year EXISTS", Exists("year")),
        ("exists exists", Exists("exists")),
        ("not exists year", Not(Exists("year"))),
        ("(not year exists)", Not(Exists("year"))),
        ("tags not contains a", Not(Comparison("tags", "contains", "a"))),
        ("not a = 1 and b = 2", And((Not(Comparison("a", "==", 1)), Comparison("b", "==", 2)))),
        ("a = 1 or b = 2 or c = 3", Or((Comparison("a", "==", 1), Comparison("b", "==", 2), Comparison("c", "==", 3)))),
    ],
)
def test_trees(text, tree):
    assert parse(text) == tree


@pytest.mark.parametrize("value", [None, "", []])
def test_what_is_empty_does_not_exist(value):
    assert matches(as_llama("exists year"), {"year": value}) is False
    assert matches(as_llama("not exists year"), {"year": value}) is True
    assert matches(as_llama("exists year"), {}) is False


@pytest.mark.parametrize("value", [0, False, "0", [None], {}])
def test_everything_else_exists(value):
    assert matches(as_llama("exists year"), {"year": value}) is True
    assert matches(as_llama("not exists year"), {"year": value}) is False


WORDS = st.text(min_size=1, max_size=8) | st.sampled_from(
    ["and", "NOT", "exists", "contains", "in", "or", "true", "Null", "1e5", "-3", "2024-05-01", "2024-02-30", "a b", "\\", '"']
)
VALUES = WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
ORDERED = WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.one_of(
    st.builds(Exists, WORDS),
    st.builds(Comparison, WORDS, st.sampled_from(["==", "!=", "contains"]), VALUES),
    st.builds(Comparison, WORDS, st.sampled_from([">", ">=", "<", "<="]), ORDERED),
    st.builds(Comparison, WORDS, st.sampled_from(["in", "nin"]), st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        *(st.builds(kind, st.lists(inner, min_size=2, max_size=3).map(tuple)) for kind in (And, Or)),
    ),
    max_leaves=8,
)


@given(TREES)
@example(Not(Not(Exists("exists"))))
@example(And((Or((Exists("a"), Exists("b"))), And((Exists("c"), Exists("d"))))))
def test_what_is_written_is_read_again(tree: Filter):
    again = parse(str(tree))
    assert again == tree
    assert repr(again) == repr(tree)  # 1 and True are equal, and yet not the same
    assert operators(as_llama(tree)) == operators(tree)


@given(st.text(alphabet="ab=<>!'\"()[], \\and or not in exists contains 1.", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        tree = parse(text)
    except FilterError as error:
        wrong = error.position
    else:
        wrong = 1
        assert parse(str(tree)) == tree
    assert 1 <= wrong <= len(text) + 1


def test_python_gives_filters_in_any_form():
    tree = parse("year >= 2020")
    given = MetadataFilters(filters=[MetadataFilter(key="year", operator=FilterOperator.GTE, value=2020)])
    assert as_llama(None) is None
    assert as_llama(given) is given
    assert as_llama(tree) == as_llama("year >= 2020") == given


@pytest.mark.parametrize("wrong", [["year"], {"year": 2020}, 5, MetadataFilter(key="a", value=1)])
def test_what_is_no_filter_is_refused(wrong):
    with pytest.raises(QueryError, match=type(wrong).__name__):
        as_llama(wrong)


def test_dates_of_python_become_texts():
    at = datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))
    parts = [
        MetadataFilter.model_construct(key="a", operator=FilterOperator.GTE, value=date(2024, 5, 1)),
        MetadataFilters(filters=[MetadataFilter.model_construct(key="b", operator=FilterOperator.IN, value=[at, 1])]),
    ]
    given = MetadataFilters.model_construct(filters=parts, condition=FilterCondition.AND)
    made = as_llama(given)
    assert [part.value for part in comparisons(made)] == ["2024-05-01", ["2024-05-01T10:00:00+02:00", 1]]
    assert parts[0].value == date(2024, 5, 1)  # what was handed over stays
    assert matches(made, {"a": "2024-05-01T00:00:00Z", "b": "2024-05-01T10:00:00+02:00"})
    assert matches(given, {"a": datetime(2024, 5, 1, tzinfo=UTC), "b": at})


def test_both_have_to_hold():
    one, other = as_llama("a = 1 or b = 1"), as_llama("c = 1 or d = 1")
    assert joined(None, None) is None
    assert joined(one, None) is joined(None, one) is one
    assert matches(joined(one, other), {"a": 1, "d": 1})
    assert not matches(joined(one, other), {"a": 1, "b": 1})


def test_reading_a_filter_loads_no_llamaindex():
    script = "import sys; from ragkit.filters import parse; parse('a = 1'); sys.exit('llama_index' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 1),
        ("year", 5),
        ("year >=", 8),
        ("year >= 2020 and", 17),
        ("year >= 2020 category = a", 14),
        ("(year = 1", 10),
        ("year in 2020", 9),
        ("year in []", 10),
        ("year not 3", 10),
        ("= 3", 1),
        ("a = 'open", 5),
        ("a = 1)", 6),
        ("a ! 1", 3),
        ("a = 1 android = 2", 7),
        ("a = two words", 9),
        ("a = null", 5),
        ("a in [1, null]", 10),
        ("draft > true", 9),
        ("when >= 2024-13-01", 9),
        ("when in [2024-02-30]", 10),
        ("a = 1e999", 5),
        (f"a = {'9' * 5000}", 5),
        ("exists", 7),
        ("exists year >= 3", 13),
        ("kind = \udcff", 8),
        ("not " * 60 + "a = 1", 1),
        ("a" * (MAX_CHARS + 1), MAX_CHARS + 1),
    ],
)
def test_nonsense_is_refused_with_its_place(text, position):
    with pytest.raises(FilterError, match=f"character {position}:") as caught:
        as_llama(text)
    assert caught.value.position == position
    assert len(str(caught.value)) < 300
