"""Filters written by hand."""

from __future__ import annotations

import pytest
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters

from ragkit.errors import QueryError
from ragkit.filters import matches
from ragkit.query.filter_language import parse_filter


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
    ],
)
def test_one_comparison(text, key, operator, value):
    (item,) = parse_filter(text).filters
    assert (item.key, item.operator.value, item.value) == (key, operator, value)
    assert type(item.value) is type(value)


def test_and_binds_tighter_than_or():
    parsed = parse_filter("a = 1 or b = 2 and c = 3")
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
    assert matches(parse_filter(text), fields) is expected


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
    ],
)
def test_nonsense_is_refused_with_its_place(text, position):
    with pytest.raises(QueryError, match=f"character {position}:"):
        parse_filter(text)
