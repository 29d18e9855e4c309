"""`search` and `ask`: what is printed, what the JSON holds, what is refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ragkit = Callable[..., Any]
QUESTION = "How many days of paid leave does an employee have?"
BOXES = set("│┃━─╭\x1b")


@pytest.fixture
def ingested(ragkit: Ragkit, project: Path) -> Path:
    assert ragkit("ingest").status == 0
    return project


def test_search_prints_the_hits(ragkit: Ragkit, ingested: Path) -> None:
    done = ragkit("search", QUESTION)
    assert done.status == 0
    assert done.out.startswith("1. ")
    assert "leave.md" in done.out.splitlines()[0]
    assert "28 days" in done.out
    assert not set(done.out) & BOXES


def test_search_as_json_has_the_documented_keys(ragkit: Ragkit, ingested: Path) -> None:
    found = ragkit("search", QUESTION, "--json").json
    assert set(found) == {"query", "hits", "trace"}
    assert found["query"] == QUESTION
    first = found["hits"][0]
    assert set(first) == {
        "rank", "chunk_id", "document_id", "source", "uri", "text", "score", "scores", "ranks", "metadata",
    }  # fmt: skip
    assert (first["rank"], first["source"], first["uri"]) == (1, "pages", "leave.md")
    assert {"dense", "keyword", "fused"} <= set(first["scores"])
    assert set(found["trace"]) == {"total_ms", "generation", "stages", "dropped"}
    assert all(set(stage) == {"name", "ms", "in", "out", "status", "detail"} for stage in found["trace"]["stages"])
    assert len(found["hits"]) == 3


def test_k_filters_and_alpha(ragkit: Ragkit, ingested: Path) -> None:
    assert len(ragkit("search", QUESTION, "-k", "1", "--json").json["hits"]) == 1
    only = ragkit("search", QUESTION, "--filter", "uri == travel.md", "--filter", "source = pages", "--json").json
    assert [hit["uri"] for hit in only["hits"]] == ["travel.md"]
    dense = ragkit("search", QUESTION, "--alpha", "1", "--json").json
    assert [hit["ranks"]["dense"] for hit in dense["hits"]] == [1, 2, 3]
    assert ragkit("search", QUESTION, "--alpha", "1.5").status == 2
    assert ragkit("search", QUESTION, "--filter", "uri").status == 2


def test_explain_shows_every_stage(ragkit: Ragkit, ingested: Path) -> None:
    out = ragkit("search", QUESTION, "--explain").out
    for stage in ("dense", "keyword", "fused"):
        assert any(line.split()[:1] == [stage] for line in out.splitlines())
    assert "#1" in out


def test_explain_and_json_say_what_dropped_a_hit(ragkit: Ragkit, ingested: Path) -> None:
    asked = ("search", QUESTION, "--set", "rerankers=[{use: threshold, relative: 0.99}]")
    found = ragkit(*asked, "--json").json
    assert len(found["hits"]) == 1
    assert set(found["trace"]["dropped"].values()) == {"threshold"}
    assert found["hits"][0]["chunk_id"] not in found["trace"]["dropped"]
    assert f"dropped: {len(found['trace']['dropped'])} by threshold" in ragkit(*asked, "--explain").out


def test_ask_answers_and_cites(ragkit: Ragkit, ingested: Path) -> None:
    done = ragkit("ask", QUESTION)
    assert done.status == 0
    assert "28 days" in done.out
    assert "leave.md:" in done.out
    answer = ragkit("ask", QUESTION, "--json").json
    assert answer["abstained"] is False
    assert answer["answer"] in done.out
    text = (ingested / "pages" / "leave.md").read_text(encoding="utf-8")
    for citation in answer["citations"]:
        assert set(citation) == {"n", "chunk_id", "document_id", "uri", "quote", "start", "end"}
        if citation["uri"] == "leave.md":
            assert text[citation["start"] : citation["end"]] == citation["quote"]


def test_ask_explains_too(ragkit: Ragkit, ingested: Path) -> None:
    assert "generation 1" in ragkit("ask", QUESTION, "--explain").out


def test_a_question_from_standard_input(ragkit: Ragkit, ingested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION))
    assert ragkit("search", "-", "--json").json["query"] == QUESTION


@pytest.mark.parametrize("command", ["search", "ask"])
@pytest.mark.parametrize("question", ["", "  \n", "x" * 100_000])
def test_a_question_that_is_none(ragkit: Ragkit, ingested: Path, command: str, question: str) -> None:
    done = ragkit(command, question)
    assert (done.status, done.out) == (2, "")
    assert "question" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["search", "ask"])
@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_before_the_first_ingest(ragkit: Ragkit, project: Path, command: str, extra: list[str]) -> None:
    done = ragkit(command, QUESTION, *extra)
    assert (done.status, done.out) == (1, "")
    assert "ragkit ingest" in done.err
