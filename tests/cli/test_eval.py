"""`eval`: what is printed, saved, compared and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ragkit = Callable[..., Any]

QUESTIONS = (
    ("How many days of paid leave does an employee have?", "leave.md"),
    ("Who consents to flights?", "travel.md"),
    ("When is the office open?", "office.md"),
    ("What is the soup?", "canteen.md"),
)


@pytest.fixture
def dataset(ragkit: Ragkit, project: Path) -> str:
    assert ragkit("ingest").status == 0
    lines = [json.dumps({"question": question, "relevant": [page]}) + "\n" for question, page in QUESTIONS]
    (project / "questions.jsonl").write_text("".join(lines), encoding="utf-8")
    return "questions.jsonl"


def test_as_json_it_has_the_documented_keys(ragkit: Ragkit, dataset: str) -> None:
    done = ragkit("eval", dataset, "--json")
    assert done.status == 0
    found = done.json
    assert found["queries"] == 4
    assert set(found["metrics"]) == {"ndcg@10", "recall@10", "recall@100", "precision@10", "mrr@10", "map@100"}
    for metric in found["metrics"].values():
        low, high = metric["ci95"]
        assert 0 <= low <= metric["mean"] <= high <= 1
    assert set(found["latency_ms"]) == {"p50", "p95"}
    assert "questions: 4 of 4" in done.err


def test_as_text(ragkit: Ragkit, dataset: str) -> None:
    done = ragkit("eval", dataset, "--metric", "ndcg@3", "--metric", "span_iou@5", "--limit", "2")
    assert done.status == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0][:2] == ["metric", "mean"]
    assert rows[1][0] == "ndcg@3"
    assert rows[2][:3] == ["span_iou@5", "not", "measured"]
    assert "2 of questions" in done.out


def test_comparing(ragkit: Ragkit, dataset: str, project: Path) -> None:
    (project / "other.yaml").write_text("extends: ragkit.yaml\nretriever: keyword\n")
    found = ragkit("eval", dataset, "--compare", "other.yaml", "--json").json["compare"]
    assert found["test"].startswith("paired randomisation test")
    assert set(found["differences"]["ndcg@10"]) == {"mean", "ci95", "p", "gains", "losses", "ties"}
    assert found["metrics"]["ndcg@10"]["mean"] > 0
    text = ragkit("eval", dataset, "--compare", "other.yaml", "--set", "retriever=dense").out
    assert text.splitlines()[0].split()[:3] == ["metric", "mean", "95"]
    assert "paired randomisation test" in text
    (project / "new.yaml").write_text("extends: ragkit.yaml\nstate: elsewhere\n")
    done = ragkit("eval", dataset, "--compare", "new.yaml")
    assert (done.status, done.out) == (1, "")
    assert "ragkit ingest -c" in done.err
    assert "questions:" not in done.err  # told before the questions were asked


def test_a_gate_for_ci(ragkit: Ragkit, dataset: str, project: Path) -> None:
    assert ragkit("eval", dataset, "--save", "kept").status == 0
    assert {path.name for path in (project / "kept").iterdir()} == {"eval.json", "run.trec", "qrels.trec"}
    gate = ("--baseline", "kept/eval.json", "--fail-under", "0.02")
    done = ragkit("eval", dataset, *gate)
    assert done.status == 0
    assert "baseline" in done.out.splitlines()[0]
    better = json.loads((project / "kept" / "eval.json").read_text())
    better["metrics"]["mrr@10"]["mean"] += 0.05
    (project / "kept" / "eval.json").write_text(json.dumps(better))
    done = ragkit("eval", dataset, *gate, "--json")
    assert done.status == 1
    assert [change["metric"] for change in done.json["baseline"]["changes"] if change["fell"]] == ["mrr@10"]
    assert "mrr@10" in done.err
    assert ragkit("eval", dataset, "--baseline", "kept/eval.json").status == 0


def test_the_json_of_one_run_is_the_baseline_of_the_next(ragkit: Ragkit, dataset: str, project: Path) -> None:
    (project / "before.json").write_text(ragkit("eval", dataset, "--json").out)
    assert ragkit("eval", dataset, "--baseline", "before.json", "--fail-under", "0").status == 0


def test_a_report(ragkit: Ragkit, dataset: str, project: Path) -> None:
    done = ragkit("eval", dataset, "--report", "pages/out.html", "--compare", "ragkit.yaml", "--save", "kept")
    assert done.status == 0
    page = (project / "pages" / "out.html").read_text(encoding="utf-8")
    assert "leave.md" in page
    assert "<svg" in page
    assert (project / "kept" / "compare.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none"], "none: does not exist"),
        (["questions.jsonl", "--metric", "bleu@4"], "there is no metric 'bleu'"),
        (["questions.jsonl", "--fail-under", "0.1"], "--fail-under needs a run"),
        (["questions.jsonl", "--baseline", "none.json"], "none.json: cannot be read"),
        (["questions.jsonl", "--baseline", "questions.jsonl"], "is no saved evaluation"),
        (["questions.jsonl", "--compare", "none.yaml"], "none.yaml"),
        (["pages"], "qrels/test.tsv"),
        (["questions.jsonl", "--limit", "0"], "--limit"),
    ],
)
def test_what_is_refused(ragkit: Ragkit, dataset: str, arguments: list[str], told: str) -> None:
    done = ragkit("eval", *arguments, "--json")
    assert (done.status, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err
    assert "questions:" not in done.err


def test_nothing_relevant_in_the_index(ragkit: Ragkit, dataset: str, project: Path) -> None:
    (project / "questions.jsonl").write_text('{"question": "x?", "relevant": ["nowhere.md"]}\n')
    done = ragkit("eval", dataset)
    assert done.status == 2
    assert "none of the 1 judged items" in done.err


def test_before_the_first_ingest(ragkit: Ragkit, project: Path) -> None:
    (project / "questions.jsonl").write_text('{"question": "x?", "relevant": ["leave.md"]}\n')
    done = ragkit("eval", "questions.jsonl")
    assert (done.status, done.out) == (1, "")
    assert "ragkit ingest" in done.err
