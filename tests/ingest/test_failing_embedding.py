"""A text that the model cannot embed is its document's failure; a model that embeds nothing ends the ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from projects import Project, texts

from ragkit import Component, Options, hookimpl
from ragkit.testing.models import FakeEmbedding


class Moody(FakeEmbedding):
    """Gives what `bad` says for a text with the word `poison`: `nan`, `zero`, `raises` or `short`."""

    bad: str = "nan"

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        if self.bad == "raises" and any("poison" in text for text in texts):
            raise RuntimeError("this text is too much")
        vectors = super()._get_text_embeddings(texts)
        for number, text in enumerate(texts):
            if "poison" in text:
                vectors[number] = [float("nan") if self.bad == "nan" else 0.0] * len(vectors[number])
        return vectors


class MoodyOptions(Options):
    bad: str = "nan"


class MoodyPlugin:
    @hookimpl
    def ragkit_embeddings(self) -> list[Component]:
        return [Component("moody", MoodyOptions, lambda options, context: Moody(bad=options.bad))]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for number, text in enumerate(texts(8)):
        made.write(f"page{number}.md", text)
    return made


def configure(project: Project, bad: str) -> None:
    project.config.write_text(project.config.read_text().replace("embedding: fake", f"embedding: {{use: moody, bad: {bad}}}"))


@pytest.mark.parametrize(("bad", "told"), [("nan", "no usable vector"), ("zero", "no usable vector"), ("raises", "too much")])
def test_one_bad_text_is_one_failure(project: Project, bad: str, told: str) -> None:
    configure(project, bad)
    project.write("page3.md", "# Poison\n\nThis is poison for the model.\n")
    report = project.ingest(MoodyPlugin())
    assert report.exit_status == 3
    assert [(failure.uri, told in failure.error) for failure in report.failures] == [("page3.md", True)]
    assert (report.documents["added"], report.chunks["total"]) == (7, 7)
    assert len({len(ids) for ids in project_ids(project)}) == 1


def test_the_last_good_version_stays(project: Project) -> None:
    configure(project, "nan")
    assert project.ingest(MoodyPlugin()).exit_status == 0
    before = project_ids(project)
    project.write("page3.md", "# Poison\n\nThis is poison for the model.\n")
    report = project.ingest(MoodyPlugin())
    assert (report.exit_status, report.documents["failed"], report.chunks["total"]) == (3, 1, 8)
    assert project_ids(project) == before
    project.write("page3.md", "# Medicine\n\nThis is medicine for the model.\n")
    assert project.ingest(MoodyPlugin()).exit_status == 0


def test_a_model_that_embeds_nothing_ends_the_ingest(project: Project) -> None:
    configure(project, "raises")
    for page in project.docs.iterdir():
        page.write_text(page.read_text() + "\nAll of them are poison.\n")
    with pytest.raises(RuntimeError, match="too much"):
        project.ingest(MoodyPlugin())


def project_ids(project: Project) -> Any:
    with project.open(MoodyPlugin()) as pipeline:
        live = pipeline._index.live()
        with pipeline._index.pool.using(live.vector, live.keyword) as views:
            return [set(view.store.ids() or ()) for view in views]
