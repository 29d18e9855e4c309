"""Uploads: answerable at once, kept by every ingest, taken back whole, whatever happens in between."""

from __future__ import annotations

import threading

import pytest
from projects import Project, texts

from ragkit.errors import ConfigError, DocumentError, ForeignDocumentError, MismatchError, UnknownDocumentError

BEES = b"# Bees\n\nBees dance to tell the way to flowers.\n"


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path)
    for number, text in enumerate(texts(5)):
        project.write(f"{number}.md", text)
    project.ingest()
    return project


def test_an_upload_is_found_at_once_by_both_legs_and_stays(project):
    with project.open() as pipeline:
        made = pipeline.upload("folder\\bees.md", BEES)
        assert (made.uri, made.outcome, made.chunks) == ("bees.md", "added", 1)
        for leg in ("dense", "keyword"):
            hit = pipeline.search("bees dance", retriever=leg).hits[0]
            assert (hit.uri, hit.source, hit.document_id) == ("bees.md", "uploads", made.document_id)
        assert pipeline.upload("bees.md", BEES).outcome == "unchanged"
        assert pipeline.ingest().documents == {"added": 0, "updated": 0, "unchanged": 6, "removed": 0, "failed": 0}
        assert "dance" in pipeline.ask("how do bees tell the way?").text
    ledger, vectors, words = project.ids()
    assert ledger == vectors == words


def test_another_version_takes_its_place(project):
    with project.open() as pipeline:
        first = pipeline.upload("bees.md", BEES)
        second = pipeline.upload("bees.md", b"# Bees\n\nBees sleep in winter.\n")
        assert (second.document_id, second.outcome) == (first.document_id, "updated")
        texts = [hit.text for hit in pipeline.search("bees", k=20).hits if hit.source == "uploads"]
    assert len(texts) == 1
    assert "sleep" in texts[0]


def test_what_is_taken_back_is_gone_everywhere(project):
    with project.open() as pipeline:
        made = pipeline.upload("bees.md", BEES)
        assert pipeline.remove_upload(made.document_id) == "bees.md"
        assert all(hit.source != "uploads" for hit in pipeline.search("bees dance", k=20).hits)
        assert not pipeline.has_upload("bees.md")
        assert pipeline.ingest().documents["added"] == 0
        with pytest.raises(UnknownDocumentError):
            pipeline.remove_upload(made.document_id)
        with pytest.raises(UnknownDocumentError):
            pipeline.remove_upload("no id")
        owned = pipeline.search("river").hits[0]
        with pytest.raises(ForeignDocumentError, match="belongs to the source 'docs'"):
            pipeline.remove_upload(owned.document_id)
    ledger, vectors, words = project.ids()
    assert ledger == vectors == words


def test_an_ingest_finishes_what_a_crash_left_undone(project):
    with project.open() as pipeline:
        made = pipeline.upload("bees.md", BEES)
        kept = pipeline._index.wiring.uploads().source
        kept.mark_gone("bees.md")  # and there the process dies
    report = project.ingest()
    assert report.documents["removed"] == 1
    with project.open() as pipeline:
        assert all(hit.document_id != made.document_id for hit in pipeline.search("bees dance", k=20).hits)

    with project.open() as pipeline:
        pipeline._index.wiring.uploads().source.keep("ants.md", b"# Ants\n\nAnts carry leaves.\n")  # and there it dies
    assert project.ingest().documents["added"] == 1
    assert "Ants carry leaves" in project.hits("ants")[0]


def test_a_lost_folder_removes_no_upload(project):
    with project.open() as pipeline:
        pipeline.upload("bees.md", BEES)
        folder = pipeline._index.wiring.uploads().source._folder
    for path in folder.iterdir():
        path.unlink()
    assert project.ingest(allow_removals=True).documents["removed"] == 0
    assert "dance" in project.hits("bees dance")[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.exe", b"x", "not taken"),
        ("../..", b"x", "no name"),
        ("\u202etxt.md", b"", "is empty"),
        ("x.pdf", b"no pdf", "is not a PDF"),
        ("x.md", b"\x00\x01\x02" * 100, "binary"),
        ("x.docx", b"PK\x03\x04 nothing", "broken"),
    ],
)
def test_what_is_refused_leaves_nothing(project, name, content, told):
    with project.open() as pipeline:
        pipeline.upload("bees.md", BEES)
        before = sorted(path.name for path in pipeline._index.wiring.uploads().source._folder.iterdir())
        with pytest.raises(DocumentError, match=told):
            pipeline.upload(name, content)
        assert sorted(path.name for path in pipeline._index.wiring.uploads().source._folder.iterdir()) == before
        assert pipeline.ingest().documents["unchanged"] == 6


def test_options_of_the_source_hold(tmp_path):
    project = Project(tmp_path)
    project.write("a.md", "# A\n\nText.\n")
    written = project.config.read_text().replace("sources:", "sources:\n  - {use: uploads, max_bytes: 50, max_files: 2}")
    project.config.write_text(written)
    project.ingest()
    with project.open() as pipeline:
        with pytest.raises(DocumentError, match="more than max_bytes"):
            pipeline.upload("long.md", b"x" * 51)
        for name in ("a.md", "b.md", "a.md"):
            pipeline.upload(name, b"short " + name.encode())
        with pytest.raises(DocumentError, match="2 uploads already"):
            pipeline.upload("c.md", b"short")


def test_the_name_belongs_to_uploads_alone(tmp_path):
    project = Project(tmp_path)
    project.config.write_text("sources: [{use: uploads, name: mine}]\nembedding: fake\n")
    with pytest.raises(ConfigError, match="has this name alone"):
        project.open()


def test_uploads_come_in_between_the_batches_of_an_ingest(project):
    for number, text in enumerate(texts(300, "lake")):
        project.write(f"lake{number}.md", text)
    uploaded: list[str] = []
    with project.open() as reading, project.open() as ingesting:

        def progress(stage, done, total, detail=""):
            if stage == "documents" and not uploaded:
                thread = threading.Thread(target=lambda: uploaded.append(reading.upload("bees.md", BEES).outcome))
                thread.start()
                thread.join(30)
                uploaded.append("dance" in reading.ask("how do bees tell the way?").text)

        assert ingesting.ingest(progress=progress).documents["added"] == 300
        assert uploaded == ["added", True]
    ledger, vectors, words = project.ids()
    assert ledger == vectors == words


def test_before_the_first_ingest_it_is_told_what_to_do(tmp_path):
    with Project(tmp_path).open() as pipeline, pytest.raises(MismatchError, match="nothing has been ingested"):
        pipeline.upload("bees.md", BEES)
