"""What is removed, and above all what is not: a source that fails, vanishes or shrinks loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core.schema import Document
from projects import Project, texts

from ragkit import BuildContext, Component, DocumentGone, Options, hookimpl, runtime
from ragkit.components import Entry
from ragkit.errors import ConfigError


def fill(project: Project, count: int = 6) -> None:
    for number, text in enumerate(texts(count)):
        project.write(f"river{number}.md", text)
    assert project.ingest().exit_status == 0


def chunks(project: Project) -> set[str]:
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword
    return ledger


class ListOptions(Options):
    uris: tuple[str, ...] = runtime(default=())
    fail_after: int | None = runtime(default=None)
    unreadable: tuple[str, ...] = runtime(default=())
    gone: tuple[str, ...] = runtime(default=())


class Listed:
    """A source whose listing, reading and vanishing the test decides."""

    def __init__(self, options: ListOptions) -> None:
        self.options = options

    def entries(self) -> Iterator[Entry]:
        for number, uri in enumerate(self.options.uris):
            if number == self.options.fail_after:
                raise ConnectionError("the server hung up")
            yield Entry(uri=uri, read=lambda uri=uri: self.read(uri), convert=lambda raw: Document(text=raw.decode()))

    def read(self, uri: str) -> bytes:
        if uri in self.options.unreadable:
            raise PermissionError(f"no permission for {uri}")
        if uri in self.options.gone:
            raise DocumentGone("404", uri=uri)
        return f"The page {uri} speaks of {uri} and of nothing else.".encode()


def build(options: ListOptions, context: BuildContext) -> Any:
    return Listed(options)


@hookimpl
def ragkit_sources() -> list[Component]:
    return [Component("list", ListOptions, build)]


LISTING = SimpleNamespace(ragkit_sources=ragkit_sources)


def listing(project: Project, uris: str = "[a, b, c, d]", **more: Any) -> Any:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    project.config.write_text(
        f"name: t\nsources:\n  - {{use: list, name: site, uris: {uris}{extra}}}\n"
        "chunker: {use: sentence, size: 40}\nembedding: fake\n"
    )
    report = project.ingest(LISTING)
    with project.open(LISTING) as pipeline:
        uris_found = {hit.uri for hit in pipeline.search("Which page speaks of nothing else?", k=50).hits}
    return report, uris_found


def test_a_source_that_fails_midway_removes_nothing(project: Project) -> None:
    listing(project)
    report, found = listing(project, "[a, e, b]", fail_after=2)
    assert found == {"a", "b", "c", "d", "e"}, "what was listed before the failure is taken"
    assert report.documents["removed"] == 0
    assert report.exit_status == 3
    assert report.notes == (
        "source 'site' was not listed to the end, so nothing of it was removed: ConnectionError: the server hung up",
    )


def test_a_document_that_cannot_be_read_keeps_its_last_good_version(project: Project) -> None:
    listing(project)
    report, found = listing(project, unreadable="[b]", gone="[c]")
    assert found == {"a", "b", "d"}, "b stays, c said itself that it is gone"
    assert report.documents == {"added": 0, "updated": 0, "unchanged": 2, "removed": 1, "failed": 1}
    assert [(failure.uri, failure.error) for failure in report.failures] == [("b", "PermissionError: no permission for b")]
    assert report.exit_status == 3
    assert listing(project, "[a, b, d]")[0].exit_status == 0


def test_a_document_listed_twice_is_a_failure(project: Project) -> None:
    report, found = listing(project, "[a, b, a]")
    assert found == {"a", "b"}
    assert [(failure.uri, failure.error) for failure in report.failures] == [
        ("a", "the source 'site' lists it twice; the first one was taken")
    ]


def test_an_unmounted_folder_removes_nothing(project: Project) -> None:
    fill(project)
    before = chunks(project)
    project.docs.rename(project.folder / "unmounted")
    report = project.ingest()
    assert report.exit_status == 3
    assert "was not listed to the end" in report.notes[0]
    assert str(project.docs) in report.notes[0]
    project.docs.mkdir()
    report = project.ingest()
    assert report.exit_status == 3
    assert report.notes[0].startswith(
        "the source 'docs' listed 0 documents, and 6 of the 6 known ones are missing; nothing was removed"
    )
    assert chunks(project) == before


@pytest.mark.parametrize(("vanished", "removed", "status"), [(3, 3, 0), (4, 0, 3)])
def test_losing_more_than_half_needs_leave(project: Project, vanished: int, removed: int, status: int) -> None:
    fill(project)
    for number in range(vanished):
        (project.docs / f"river{number}.md").unlink()
    report = project.ingest()
    assert (report.documents["removed"], report.exit_status) == (removed, status)
    report = project.ingest(allow_removals=True)
    assert report.documents["removed"] == vanished - removed
    assert report.exit_status == 0


def test_a_source_that_left_the_configuration_needs_leave_too(project: Project) -> None:
    fill(project)
    before = chunks(project)
    other = project.folder / "other"
    shutil.copytree(project.docs, other)
    project.config.write_text(project.config.read_text().replace("name: docs, path: docs", "name: other, path: other"))
    report = project.ingest()
    assert report.exit_status == 3
    assert "the source 'docs' is no longer in the configuration, and 6 of the 6 known ones are missing" in report.notes[0]
    assert before < chunks(project), "the same page in two sources is two documents"
    assert project.ingest(allow_removals=True).documents["removed"] == 6
    assert not before & chunks(project)


def test_only_and_limit_remove_nothing(project: Project) -> None:
    fill(project)
    before = chunks(project)
    (project.docs / "river1.md").unlink()
    project.write("new.md", "# New\n\nA new page about a canal.\n")
    assert project.ingest(only=["docs"]).documents["removed"] == 0
    assert project.ingest(limit=2).documents == {"added": 0, "updated": 0, "unchanged": 2, "removed": 0, "failed": 0}
    assert before < chunks(project)
    assert project.ingest().documents["removed"] == 1


@pytest.mark.parametrize("rules", [{}, {"dry_run": True}, {"views_only": True}])
def test_only_of_an_unknown_source_is_refused_before_anything_is_done(project: Project, rules: dict[str, bool]) -> None:
    fill(project, 1)
    with pytest.raises(ConfigError) as caught:
        project.ingest(only=["docs", "dcos", "zzz"], **rules)
    assert [str(problem) for problem in caught.value.problems] == [
        "only: there is no source 'dcos'; did you mean 'docs'?",
        "only: there is no source 'zzz'",
    ]
    assert caught.value.cure == "the sources are: docs, uploads"
    assert caught.value.exit_status == 2
    with project.open() as pipeline:
        assert len(pipeline.runs()) == 1, "the refused one is no run"


def test_a_dry_run_changes_nothing(project: Project) -> None:
    fill(project)
    (project.docs / "river1.md").unlink()
    project.write("river2.md", "# Changed\n\nChanged entirely.\n")
    project.write("new.md", "# New\n\nNew.\n")
    state = Path(project.folder / ".ragkit" / "ledger.db")
    before, rows = chunks(project), state.read_bytes()
    report = project.ingest(dry_run=True)
    assert report.dry_run
    assert report.documents == {"added": 1, "updated": 1, "unchanged": 4, "removed": 1, "failed": 0}
    assert chunks(project) == before
    assert state.read_bytes() == rows


def test_nothing_to_ingest_says_so(project: Project) -> None:
    report = project.ingest()
    assert report.exit_status == 1
    assert report.notes == ("no documents in docs → check `path`, `include` and `exclude` of the source",)


def test_a_file_outside_the_pattern_is_removed_and_comes_back_under_the_same_id(project: Project) -> None:
    fill(project)
    before = chunks(project)
    pattern = project.config.read_text()
    project.config.write_text(pattern.replace('"**/*.md"', '"**/river[0-3].md"'))
    assert project.ingest().documents["removed"] == 2
    project.config.write_text(pattern)
    assert project.ingest().documents["added"] == 2
    assert chunks(project) == before
