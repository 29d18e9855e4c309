"""The source `web` through a whole pipeline: what an ingest counts, fetches and removes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from website import HTML, Reply, Site, article, redirect, site

from ragkit.ingest.report import IngestReport

CONFIG = """\
name: test
sources:
  - use: web
    name: pages
    urls: [{urls}]
    allow_private: true
    delay: 0
    {more}
clean: [{clean}]
chunker: {{use: sentence, size: 40, overlap: 0}}
embedding: fake
"""


class Web(Project):
    """A project whose only source is a site."""

    def point(self, *urls: str, more: str = "depth: 1\n    retries: 0", clean: str = "whitespace") -> None:
        self.config.write_text(CONFIG.format(urls=", ".join(f'"{url}"' for url in urls), more=more, clean=clean))

    def take(self, **rules: object) -> IngestReport:
        return self.ingest(**rules)

    def answers(self, question: str) -> str:
        with self.open() as pipeline:
            return "\n".join(hit.text for hit in pipeline.search(question).hits)


@pytest.fixture
def www() -> Iterator[Site]:
    with site() as running:
        running.page("/", "Home", links=["/rhine", "/tiber", "/seine"])
        for name in ("Rhine", "Tiber", "Seine"):
            running.page(f"/{name.lower()}", name)
        yield running


@pytest.fixture
def project(www: Site, tmp_path: Path) -> Web:
    project = Web(tmp_path)
    project.point(www.url())
    return project


def counts(report: IngestReport) -> dict[str, int]:
    return {name: count for name, count in report.documents.items() if count}


def test_a_second_ingest_transfers_no_body_and_changes_nothing(project: Web, www: Site) -> None:
    first = project.take()
    assert (counts(first), first.exit_status) == ({"added": 4}, 0)
    assert "The river Tiber is long" in project.answers("How long is the Tiber?")
    www.seen.clear()
    second = project.take()
    assert (counts(second), second.exit_status, second.embedded) == ({"unchanged": 4}, 0, 0)
    assert [one.status for one in www.seen if one.path != "/robots.txt"] == [304] * 4


def test_new_cleaning_transfers_no_body_and_with_max_age_asks_nothing(project: Web, www: Site) -> None:
    project.take()
    www.seen.clear()
    project.point(www.url(), clean="whitespace, unicode")
    assert counts(project.take()) == {"updated": 4}
    assert www.paths(200) == []
    www.seen.clear()
    project.point(www.url(), more="depth: 1\n    max_age: 3600", clean="whitespace, contacts")
    assert counts(project.take()) == {"updated": 4}
    assert www.seen == []


def test_a_changed_page(project: Web, www: Site) -> None:
    project.take()
    www.page("/tiber", "Tiber", "The Tiber is dry this summer. Nobody knows when the water will come back to the old bridges.")
    report = project.take()
    assert counts(report) == {"updated": 1, "unchanged": 3}
    found = project.answers("Is the Tiber dry?")
    assert "is dry this summer" in found
    assert "The river Tiber is long" not in found


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_is_removed(project: Web, www: Site, status: int) -> None:
    project.take()
    www.pages["/tiber"] = Reply(status=status)
    report = project.take()
    assert (counts(report), report.exit_status) == ({"removed": 1, "unchanged": 3}, 0)
    assert "Tiber is long" not in project.answers("How long is the Tiber?")


def test_a_page_that_nothing_links_to_any_more_is_removed(project: Web, www: Site) -> None:
    project.take()
    www.page("/", "Home", links=["/rhine", "/seine"])
    assert counts(project.take()) == {"removed": 1, "updated": 1, "unchanged": 2}


@pytest.mark.parametrize(
    "fault", [Reply(status=500), Reply(status=403), redirect("/tiber"), Reply(b"x", headers={"Content-Type": "image/png"})]
)
def test_a_page_that_fails_keeps_its_last_version(project: Web, www: Site, fault: Reply) -> None:
    project.take()
    www.pages["/tiber"] = fault
    report = project.take()
    assert (counts(report), report.exit_status) == ({"failed": 1, "unchanged": 3}, 3)
    assert [failure.uri for failure in report.failures] == [www.url("/tiber")]
    assert "Tiber is long" in project.answers("How long is the Tiber?")
    www.page("/tiber", "Tiber")
    assert counts(project.take()) == {"unchanged": 4}


def test_a_server_that_dies_midway_removes_nothing(project: Web, www: Site) -> None:
    project.take()
    dies = Reply(raw=lambda wire, closing: None)
    for path in ("/rhine", "/tiber", "/seine"):
        www.pages[path] = dies
    report = project.take()
    assert report.exit_status == 3
    assert counts(report) == {"failed": 3, "unchanged": 1}
    www.stop()
    report = project.take()
    assert report.exit_status == 3
    assert counts(report) == {"failed": 1}
    assert "nothing of it was removed" in " ".join(report.notes)
    assert "Tiber is long" in project.answers("How long is the Tiber?")


def test_a_start_page_that_is_gone_removes_no_other(project: Web, www: Site) -> None:
    project.take()
    www.pages["/"] = Reply(status=404)
    report = project.take()
    assert (counts(report), report.exit_status) == ({"removed": 1}, 3)
    assert "Tiber is long" in project.answers("How long is the Tiber?")


def test_max_pages_removes_nothing(project: Web, www: Site) -> None:
    project.take()
    project.point(www.url(), more="depth: 1\n    max_pages: 2")
    report = project.take()
    assert (counts(report), report.exit_status) == ({"unchanged": 4}, 0)


def test_a_url_that_is_no_longer_named_is_removed(project: Web, www: Site) -> None:
    paths = ("/rhine", "/tiber", "/seine")
    project.point(*map(www.url, paths), more="depth: 0")
    assert counts(project.take()) == {"added": 3}
    project.point(*map(www.url, paths[:2]), more="depth: 0")
    assert counts(project.take()) == {"removed": 1, "unchanged": 2}


def test_a_dry_run_and_a_limit_remove_nothing(project: Web, www: Site) -> None:
    project.take()
    www.page("/", "Home", links=["/rhine"])
    project.take(limit=1)
    assert "Tiber is long" in project.answers("How long is the Tiber?")
    assert project.take(dry_run=True).documents["removed"] == 2
    assert "Tiber is long" in project.answers("How long is the Tiber?")


def test_private_addresses_are_refused_unless_it_is_said(project: Web, www: Site) -> None:
    project.config.write_text(project.config.read_text().replace("allow_private: true", "allow_private: false"))
    report = project.take()
    assert report.exit_status == 1
    assert "allow_private: true" in " ".join((*report.notes, *(failure.error for failure in report.failures)))
    assert www.seen == []


def test_documents_carry_what_filters_need(project: Web, www: Site) -> None:
    head = b'<head><meta name="author" content="Ann Lee"><meta property="article:published_time" content="2024-05-01">'
    www.pages["/tiber"] = Reply(article("Tiber").replace(b"<head>", head), headers={"Content-Type": HTML})
    project.take()
    with project.open() as pipeline:
        hits = pipeline.search("river", filters="author == 'Ann Lee' and date >= 2024-01-01 and category == article").hits
        assert {hit.uri for hit in hits} == {www.url("/tiber")}


def test_secrets_are_in_no_report(project: Web, www: Site, capsys: pytest.CaptureFixture[str]) -> None:
    www.pages["/tiber"] = Reply(status=401)
    project.point(www.url(), more='depth: 1\n    headers: {Authorization: "Bearer hunter2"}')
    report = project.take()
    assert report.failures
    assert www.seen[-1].headers["Authorization"] == "Bearer hunter2"
    state = b"".join(path.read_bytes() for path in (project.folder / ".ragkit").rglob("*") if path.is_file())
    assert "hunter2" not in repr(report) + "".join(capsys.readouterr())
    assert b"hunter2" not in state


def test_links_of_a_list_that_no_other_source_takes(project: Web, www: Site) -> None:
    from ragkit.components import Kind
    from ragkit.host import Host

    component = Host().components(Kind.SOURCE)["web"]
    (pattern,) = component.links
    assert pattern.fallback
    options = pattern.match("https://example.org/an/article?x=1")
    assert options is not None
    assert options["urls"] == "https://example.org/an/article?x=1"
    assert pattern.match("git@example.org:a/b") is None
