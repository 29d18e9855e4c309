"""What people thought of answers, exported and measured."""

from __future__ import annotations

import json

import pytest
from projects import Project
from typer.testing import CliRunner

from ragkit.cli.app import app
from ragkit.errors import ConfigError
from ragkit.evaluate.datasets import load
from ragkit.evaluate.running import evaluate


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    project.write("leave.md", "# Leave\n\nEvery employee has 28 days of paid leave in a year.\n")
    project.write("travel.md", "# Travel\n\nFlights need the consent of the director.\n")
    project.ingest()
    with project.open() as pipeline:
        talk = pipeline.conversations
        started = talk.start("ann")
        for question in ("How many days of paid leave?", "Do flights need the consent of the director?", "What is unjudged?"):
            talk.add("ann", started.id, question, pipeline.ask(question).to_dict())
        talk.rate("ann", started.id, 1, 1)
        talk.rate("ann", started.id, 2, -1, "too short")
    return project


def export(project, *arguments):
    return CliRunner().invoke(app, ["feedback", "export", "-c", str(project.config), *arguments])


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    from ragkit.cli import opening
    from ragkit.host import Host
    from ragkit.testing import plugin

    monkeypatch.setattr(opening, "open_host", lambda: Host(plugins=[plugin]))


def test_judged_answers_become_a_dataset_that_eval_reads(project, tmp_path):
    file = tmp_path / "judged.jsonl"
    done = export(project, str(file))
    assert "2 judged answers (1 good, 1 bad)" in done.stdout
    good, bad = map(json.loads, file.read_text().splitlines())
    assert (good["question"], good["verdict"]) == ("How many days of paid leave?", "good")
    assert good["relevant"][0] == {
        "document": "leave.md", "quote": "Every employee has 28 days of paid leave in a year.", "grade": 1,
    }  # fmt: skip
    assert (bad["verdict"], bad["comment"], bad["answers"]) == ("bad", "too short", [])
    assert {item["grade"] for item in bad["relevant"]} == {0}
    assert "ann" not in file.read_text()
    dataset = load(file)
    assert [query.text for query in dataset.queries] == [
        "How many days of paid leave?",
        "Do flights need the consent of the director?",
    ]
    with project.open() as pipeline:
        measured = evaluate(pipeline, dataset)
    assert measured.to_dict()["queries"] == 2


def test_it_is_written_to_standard_output_and_as_json(project):
    assert len(export(project).stdout.splitlines()) == 2
    told = json.loads(export(project, "--json").stdout)
    assert (told["good"], told["bad"], len(told["questions"])) == (1, 1, 2)


def test_a_file_is_not_overwritten_by_accident(project, tmp_path):
    file = tmp_path / "judged.jsonl"
    file.write_text("mine")
    assert isinstance(export(project, str(file)).exception, ConfigError)
    assert file.read_text() == "mine"
    export(project, str(file), "--force")
    assert file.read_text() != "mine"
