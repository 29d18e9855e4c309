"""Filters as a person writes them: every operator with every type, in the YAML and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragkit.query import legs

Ragkit = Callable[..., Any]

CONFIG = """
name: records
sources: [{use: jsonl, name: records, path: records.jsonl}]
embedding: fake
vector_store: memory
keyword_store: memory
top_k: 20
"""
RECORDS: dict[str, dict[str, Any]] = {
    "a": {"year": 2019, "score": 0.5, "draft": True, "kind": "post", "tags": ["red"], "when": "2024-04-30"},
    "b": {"year": 2020, "score": 1, "draft": False, "kind": "article", "tags": ["red", "blue"], "when": "2024-05-01"},
    "c": {"year": 2021, "score": 1.5, "kind": "long read", "tags": [], "when": "2024-05-01T00:30:00+02:00"},
    "d": {"year": "2020", "kind": "", "tags": [1, 2.5, True], "when": "2024-05-01T08:00:00Z"},
    "e": {"year": None, "draft": None, "tags": "red", "when": "2024-05-01T10:00:00.5+02:00"},
    "f": {},
}
KEYS = "_id, draft, format, kind, score, source, tags, title, uri, when, year"
CASES = {
    # numbers
    "year = 2020": "b", "year == 2020.0": "b", "year != 2020": "acdef", "year > 2019": "bc", "year >= 2020": "bc",
    "year < 2020": "a", "year <= 2020": "ab", "year in [2019, 2021]": "ac", "year not in [2019, 2021]": "bdef",
    "score > 0.5": "bc", "score = 1": "b", "score <= 1e0": "ab", "score >= -1": "abc", "tags contains 2.5": "d",
    "exists year": "abcd", "not exists year": "ef", "year exists and not year = 2020": "acd",
    # texts
    "year = '2020'": "d", "year >= '2'": "d", "kind = post": "a", "kind = 'long read'": "c", "kind != post": "bcdef",
    "kind > b": "ac", "kind < b": "bd", "kind in [post, 'long read']": "ac", "kind not in [post, 'long read']": "bdef",
    "kind contains ost": "a", "kind not contains ost": "bcdef", "exists kind": "abc", "kind = ''": "d",
    # truth values
    "draft = true": "a", "draft = false": "b", "draft != true": "bcdef", "draft in [true, false]": "ab", "exists draft": "ab",
    "not draft = true": "bcdef", "draft = 'true'": "", "draft = 1": "a", "tags contains true": "d",
    # lists
    "tags contains red": "abe", "tags contains blue": "b", "tags not contains red": "cdf", "exists tags": "abde",
    "tags = red": "e", "tags in [red, blue]": "e", "tags > a": "e", "tags != red": "abcdf",
    # dates
    "when = 2024-05-01": "b", "when != 2024-05-01": "acdef", "when >= 2024-05-01": "bde", "when > 2024-05-01": "de",
    "when < 2024-05-01": "ac", "when <= 2024-05-01": "abc", "when > 2024-05-01T08:00:00+00:00": "e",
    "when <= '2024-05-01 10:00+02:00'": "abcd", "when in [2024-05-01, 2024-04-30]": "ab", "when contains 2024-04": "a",
    "exists when": "abcde", "when >= 2024": "",
    # together
    "year = 2019 or year = 2021 and kind = post": "a", "(year = 2019 or year = 2021) and exists draft": "a",
    "not (year >= 2020 or exists draft)": "def", "NOT year > 2019 AND exists kind": "a", "uri contains '#b'": "b",
    "source = records and title = C": "c",
}  # fmt: skip
"""By filter the records that satisfy it."""


@pytest.fixture
def records(ragkit: Ragkit, project: Path) -> Path:
    lines = [
        json.dumps({"_id": name, "title": name.upper(), "text": f"A common text, number {name}.", "metadata": metadata})
        for name, metadata in RECORDS.items()
    ]
    (project / "records.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (project / "ragkit.yaml").write_text(CONFIG, encoding="utf-8")
    assert ragkit("ingest").status == 0
    return project


def found(done: Any) -> str:
    assert done.status == 0, done.err
    return "".join(sorted(hit["uri"][-1] for hit in done.json["hits"]))


@pytest.mark.parametrize("claimed", [True, False], ids=["in the store", "in the ledger"])
def test_every_operator_with_every_type(claimed: bool, ragkit: Ragkit, records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not claimed:
        monkeypatch.setattr(legs, "_takes", lambda capability, filters: False)
    hits = {text: found(ragkit("search", "common text", "--filter", text, "--json")) for text in CASES}
    assert hits == CASES


@pytest.mark.parametrize(
    "filters", ["year >= 2020", "draft = true", "when >= 2024-05-01", "exists tags and not tags contains red"]
)
def test_the_configurations_filter_always_holds(filters: str, ragkit: Ragkit, records: Path) -> None:
    expected = found(ragkit("search", "common text", "--filter", filters, "--json"))
    (records / "ragkit.yaml").write_text(f"{CONFIG}filter: {json.dumps(filters)}\n", encoding="utf-8")
    assert found(ragkit("search", "common text", "--json")) == expected  # and nothing is ingested anew
    assert found(ragkit("ask", "common text", "--json")) == expected
    both = found(ragkit("search", "common text", "--filter", "year != 2021", "--json"))
    assert set(both) == set(expected) - {"c"}
    assert found(ragkit("search", "common text", "--set", "filter=null", "--json")) == "abcdef"
    status = ragkit("status", "--json").json
    assert (status["matches"], status["generation"]) == (True, 1)


def test_the_filter_is_checked_and_shown(ragkit: Ragkit, records: Path) -> None:
    assert ragkit("check", "--set", "filter=year >= 2020").status == 0
    wrong = ragkit("check", "--set", "filter=year >= 2020 adn draft = true")
    assert (wrong.status, wrong.out) == (2, "")
    assert "--set: filter: character 14: 'adn' cannot stand here" in wrong.err
    shown = ragkit("config", "--set", "filter=year>=2020   and  draft exists")
    assert "filter: year >= 2020 and exists draft\n" in shown.out
    assert "filter: null\n" in ragkit("config").out


def test_several_filters_all_hold(ragkit: Ragkit, records: Path) -> None:
    done = ragkit("search", "text", "--filter", "year = 2019 or year = 2020", "--filter", "draft = false", "--json")
    assert found(done) == "b"
    wrong = ragkit("search", "text", "--filter", "year = 2019", "--filter", "draft =")
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.startswith("error: filter, character 8: more should follow")


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ("yaer >= 2020", "no chunk has the key 'yaer'; did you mean 'year'?"),
        (
            "page > 1",
            "no chunk has the key 'page'; there is: " + KEYS,
        ),
        ("Year > 1", "no chunk has the key 'Year'; did you mean 'year'?"),
        ("score > '1'", "'score' is a number, such as 0.5, and never a text; write the value without quotes"),
        ("when >= 2024", "'when' is a text, such as 2024-04-30, and never a number; put the value in quotes"),
    ],
)
@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_slip_is_told_where_nothing_passes(command: str, filters: str, told: str, ragkit: Ragkit, records: Path) -> None:
    done = ragkit(command, "common text", "--filter", filters)
    assert done.status == 0
    assert f"filter: {told}\n" in done.out
    stages = ragkit(command, "common text", "--filter", filters, "--json").json["trace"]["stages"]
    assert [stage["detail"] for stage in stages if stage["name"] == "filter"] == [told]


def test_nothing_is_told_where_no_slip_is_seen(ragkit: Ragkit, records: Path) -> None:
    for filters in ("year = 1900", "kind = zebra", "source = other", "when > 2030-01-01", "score = 7 and exists draft"):
        assert ragkit("search", "common text", "--filter", filters).out == "no hits\n", filters
