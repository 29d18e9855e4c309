"""Datasets: what is read, and that everything wrong is told at once, with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragkit.errors import DatasetError
from ragkit.evaluate import Relevant, load

Beir = Callable[..., Path]
HEADER = "query-id\tcorpus-id\tscore\n"


def problems(path: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as raised:
        load(path, **options)
    assert raised.value.exit_status == 2
    return str(raised.value)


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in records))
    return path


def test_a_beir_folder(beir: Beir) -> None:
    folder = beir(
        [], {"b": "second?", "a": "first?", "c": "never judged"}, {"a": {"1": 2, "7": 0}, "b": {"2": 1}, "gone": {"1": 1}}
    )
    found = load(folder)
    assert found.name == "ponds/test"
    assert [(query.id, query.text) for query in found.queries] == [("b", "second?"), ("a", "first?")]
    assert found.queries[1].relevant == (Relevant("document", "1", 2), Relevant("document", "7", 0))
    assert found.notes == (
        "1 queries have no judgment in test.tsv and are left out",
        "1 judged queries are not in queries.jsonl and are left out, 'gone' among them",
    )
    assert [query.id for query in found.head(1).queries] == ["b"]
    assert found.head(None) is found


def test_another_split_and_other_queries(beir: Beir, tmp_path: Path) -> None:
    folder = beir([], {"a": "first?"}, {"a": {"1": 1}})
    (folder / "qrels" / "train.tsv").write_text("t\t3\t1.0\r\n")  # no header, another line end, a decimal
    other = jsonl(tmp_path / "train.jsonl", {"_id": "t", "text": "trained?", "metadata": {"answers": ["yes", 3]}})
    (query,) = load(folder, split="train", queries=other).queries
    assert (query.id, query.answers, query.relevant) == ("t", ("yes",), (Relevant("document", "3", 1),))
    assert "judges no query" in problems(folder, split="train")
    told = problems(folder, split="dev")
    assert "dev.tsv: does not exist" in told
    assert "--split takes: test, train" in told


def test_what_is_missing(beir: Beir, tmp_path: Path) -> None:
    assert "does not exist" in problems(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "a BEIR folder has qrels/test.tsv" in problems(tmp_path / "empty")
    folder = beir([], {"a": "first?"}, {"a": {"1": 1}})
    (folder / "queries.jsonl").unlink()
    assert "queries.jsonl: does not exist" in problems(folder)


def test_every_problem_of_a_beir_folder_at_once(beir: Beir) -> None:
    folder = beir([], {}, {})
    (folder / "qrels" / "test.tsv").write_text(HEADER + "a\t1\t1\na\t1\t2\na 2 1\nb\t2\tgood\n\t2\t1\nc\t1\t1\nd\t1\t0.5\n")
    jsonl(
        folder / "queries.jsonl", {"_id": "a", "text": "  "}, {"_id": "c", "text": "x" * 40_000}, {"text": "who?"}, "{",
        {"_id": "e", "text": "unjudged"}, {"_id": "e", "text": "again"}, "[]",
    )  # fmt: skip
    told = problems(folder)
    for line, what in (
        ("test.tsv:3", "judges document '1' for query 'a' again"), ("test.tsv:4", "has 1 columns"), ("test.tsv:5", "'good'"),
        ("test.tsv:6", "is empty"), ("test.tsv:8", "'0.5'"), ("queries.jsonl:1", "the question is empty"),
        ("queries.jsonl:2", "40,000 characters"), ("queries.jsonl:3", "no _id"), ("queries.jsonl:4", "is no JSON"),
        ("queries.jsonl:6", "'e' is there twice"), ("queries.jsonl:7", "no JSON object"),
    ):  # fmt: skip
        (row,) = [row for row in told.splitlines() if f"{line}:" in row]
        assert what in row


def test_many_problems_are_counted(tmp_path: Path) -> None:
    assert "… and 80 more" in problems(jsonl(tmp_path / "q.jsonl", *(["{"] * 100)))


def test_questions_in_jsonl(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "q.jsonl",
        {"question": "one?", "relevant": ["guide.md", 7], "answers": "yes"},
        {"id": "two", "question": "two?", "relevant": {"document": "a.md", "grade": 3}},
        {
            "_id": "x",
            "question": "x?",
            "relevant": [{"chunk": "c1"}, {"quote": " so it is "}, {"document": "b", "start": 3, "end": 9}],
        },
        {"question": "nothing?"},
    )
    found = load(path)
    assert [(query.id, query.answers) for query in found.queries] == [("1", ("yes",)), ("two", ()), ("x", ())]
    assert [query.relevant for query in found.queries] == [
        (Relevant("any", "guide.md"), Relevant("any", "7")),
        (Relevant("document", "a.md", 3),),
        (Relevant("chunk", "c1"), Relevant("passage", "", 1, "so it is"), Relevant("passage", "b", 1, "", 3, 9)),
    ]
    assert found.notes == ("1 questions have nothing `relevant` and are left out",)
    assert found.has_passages


def test_bad_questions_in_jsonl(tmp_path: Path) -> None:
    told = problems(
        jsonl(
            tmp_path / "q.jsonl", {"question": "a?", "relevant": [None]}, {"question": "b?", "relevant": [{"grade": 1}]},
            {"relevant": ["x"]}, {"_id": "1", "question": "2?"}, {"question": "c?", "relevant": {"document": "d", "grade": "x"}},
        )
    )  # fmt: skip
    for line, what in ((1, "null"), (2, "cannot tell what is relevant"), (3, "has no question"), (4, "twice"), (5, '"x"')):
        assert any(f"q.jsonl:{line}:" in row and what in row for row in told.splitlines()), line
    assert "judges no question" in problems(jsonl(tmp_path / "r.jsonl", {"question": "a?"}))
    (tmp_path / "s.jsonl").write_bytes(b'{"question": "\xff"}\n')
    assert "s.jsonl:1:1: is not UTF-8" in problems(tmp_path / "s.jsonl")


def test_passages_with_their_place(tmp_path: Path) -> None:
    reference = {"content": "It was so.", "start_index": 5, "end_index": 15}
    folder = tmp_path / "study"
    folder.mkdir()
    jsonl(folder / "questions.jsonl", {"_id": "q0", "text": "why?", "corpus_id": "speech", "references": [reference]})
    found = load(folder)
    assert found.name == "study"
    assert found.queries[0].relevant == (Relevant("passage", "speech", 1, "It was so.", 5, 15),)
