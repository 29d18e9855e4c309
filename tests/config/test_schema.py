"""The JSON Schema accepts what `load` accepts, as far as a schema can tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator

from ragkit.config import json_schema
from ragkit.config.settings import Settings
from ragkit.host import Host

START = {"sources": [{"use": "files", "path": "docs"}]}


@pytest.fixture(scope="module")
def validator(host: Host) -> Draft7Validator:
    schema = json_schema(host)
    Draft7Validator.check_schema(schema)
    return Draft7Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize(
    "data",
    [
        START,
        {"extends": "base.yaml"},
        {"extends": "base.yaml", "chunker": {"size": 64}},
        {"sources": [{"use": "files", "path": "docs", "name": "a", "include": ["a"]}, {"use": "web", "url": "${URL}"}]},
        {**START, "top_k": "${TOP_K:-5}", "vector_store": {"use": "faiss", "store_text": "${YES}", "index": {"m": "${M}"}}},
        {**START, "chunker": "token", "llm": None, "answer": "llm"},
        {**START, "llm": "echo", "rerankers": ["shuffle", {"use": "shuffle", "name": "b"}]},
        {**START, "retriever": {"use": "hybrid", "legs": ["dense", {"use": "hybrid", "legs": ["dense", "keyword"]}]}},
        {**START, "vector_store": {"use": "faiss", "api_key": "text", "labels": {"any": ["thing"]}}},
        {**START, "chunker": {"use": "sentence", "size": None}},
        {**START, "chunker": "${CHUNKER}"},
        {**START, "filter": "year >= 2020"},
        {**START, "filter": None},
    ],
)
def test_good(data: dict[str, Any], validator: Draft7Validator) -> None:
    assert [error.message for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": "x"},
        {"sources": []},
        {"sources": ["fils"]},
        {"sources": [{"path": "docs"}]},
        {"sources": [{"use": "files"}]},
        {**START, "zzz": 1},
        {**START, "top_k": 0},
        {**START, "top_k": "many"},
        {**START, "chunker": {"use": "token", "siz": 1}},
        {**START, "chunker": {"use": "token", "lead": "titel"}},
        {**START, "chunker": None},
        {**START, "vector_store": {"use": "faiss", "index": {"kind": "tree"}}},
        {**START, "vector_store": {"use": "faiss", "api_key": 5}},
        {**START, "vector_store": {"use": "faiss", "name": "x"}},
        {**START, "retriever": {"use": "hybrid", "legs": ["dense", {"use": "hybrid", "alpha": 2}]}},
        {**START, "retriever": {"use": "hybrid", "legs": ["dense"]}},
        {**START, "retriever": "faiss"},
        {**START, "filter": ""},
        {**START, "filter": 2020},
        {**START, "filter": ["year >= 2020"]},
    ],
)
def test_bad(data: dict[str, Any], validator: Draft7Validator) -> None:
    assert not validator.is_valid(data)


def test_it_tells_an_editor_what_things_are_for(host: Host) -> None:
    schema = json_schema(host)
    assert set(schema["properties"]) == {*Settings.model_fields, "extends"}
    assert all(part["description"] for part in schema["properties"].values())
    assert schema["properties"]["top_k"]["default"] == 5
    assert schema["$defs"]["vector_store.faiss"]["description"] == "What faiss is for."
    assert schema["$defs"]["vector_store.faiss"]["properties"]["use"]["const"] == "faiss"


def test_a_host_without_plugins_has_a_schema_too() -> None:
    Draft7Validator.check_schema(json_schema(Host(entry_points=False, builtins=False)))
