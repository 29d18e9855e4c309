"""A source's category, and the cleaners that are chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import BaseNode, TransformComponent
from projects import Project

from ragkit import CleanerOptions, Component, hookimpl


class Shouting(TransformComponent):
    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        copies = [node.model_copy() for node in nodes]
        for node in copies:
            node.set_content(node.get_content().upper())
        return copies


class ShoutPlugin:
    @hookimpl
    def ragkit_cleaners(self) -> list[Component]:
        return [Component("shout", CleanerOptions, lambda options, context: Shouting())]


CONFIG = """\
name: test
sources:
  - {{use: files, name: letters, path: letters, category: post}}
  - {{use: files, name: books, path: books{books}}}
chunker: {{use: sentence, size: 40, overlap: 0}}
embedding: fake
clean: [whitespace, {{use: shout, categories: [post, note]}}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for folder in ("letters", "books"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text(f"The river of {folder} has three bridges.\n")
    made.config.write_text(CONFIG.format(books=""))
    return made


def found(project: Project) -> dict[str, tuple[str, Any]]:
    with project.open(ShoutPlugin()) as pipeline:
        hits = pipeline.search("river bridges").hits
        return {hit.source: (hit.text, hit.metadata.get("category")) for hit in hits}


def test_a_cleaner_takes_the_documents_of_its_categories_alone(project: Project) -> None:
    assert project.ingest(ShoutPlugin()).exit_status == 0
    assert found(project) == {
        "letters": ("THE RIVER OF LETTERS HAS THREE BRIDGES.", "post"),
        "books": ("The river of books has three bridges.", None),
    }


def test_another_category_cleans_the_documents_anew(project: Project) -> None:
    project.ingest(ShoutPlugin())
    project.config.write_text(CONFIG.format(books=", category: note"))
    report = project.ingest(ShoutPlugin())
    assert (report.documents["updated"], report.documents["unchanged"]) == (1, 1)
    assert found(project)["books"] == ("THE RIVER OF BOOKS HAS THREE BRIDGES.", "note")


def test_a_category_filters(project: Project) -> None:
    project.ingest(ShoutPlugin())
    with project.open(ShoutPlugin()) as pipeline:
        assert [hit.source for hit in pipeline.search("river", filters="category == post").hits] == ["letters"]
