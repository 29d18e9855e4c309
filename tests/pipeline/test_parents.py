"""Parents from the chunker to the retriever: `hierarchical`, the ledger, `auto_merging`."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project

from ragkit import Pipeline
from ragkit.state.reader import Reader

BIRDS = "The heron stands in the water. The heron waits for a fish. The heron strikes fast. The heron swallows it whole."
TREES = "The oak grows for centuries. An oak gives acorns. Jays carry them away. Some of them become oaks."
BOATS = "A barge carries sand. It passes the lock at noon. Nobody is on deck. The skipper drinks tea."
PAGE = f"# Birds\n\n{BIRDS}\n\n# Trees\n\n{TREES}\n\n# Boats\n\n{BOATS}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project")
    project.config.write_text(
        "sources: [{use: files, name: docs, path: docs, include: ['**/*.md']}]\n"
        "chunker: {use: hierarchical, parent_size: 40, size: 16, lead: none}\n"
        "embedding: fake\n"
        "retriever: {use: auto_merging, retriever: {use: keyword}}\n"
    )
    project.write("page.md", PAGE)
    project.write("other.md", "# Other\n\nSomething else altogether. It has two sentences and a few words more than that.\n")
    project.ingest()
    return project


def reader(pipeline: Pipeline) -> Reader:
    return Reader(pipeline._index.ledger, pipeline._index.live())


def test_every_chunk_of_a_section_has_the_same_parent(project: Project) -> None:
    with project.open() as pipeline:
        read = reader(pipeline)
        chunks = [chunk for chunk in read.all() if chunk.uri == "page.md"]
        found = [read.parent(chunk.id) for chunk in chunks]
        assert len(chunks) == 6
        assert [parent.whole.text.splitlines()[0] for parent in found if parent] == [f"# {chunk.heading}" for chunk in chunks]
        assert len({parent.whole.id for parent in found if parent}) == 3
        for chunk, parent in zip(chunks, found, strict=True):
            assert parent is not None
            assert chunk.id in parent.children
            assert PAGE[parent.whole.start : parent.whole.end] == parent.whole.text
            assert chunk.text in parent.whole.text
            assert parent.whole.id not in {one.id for one in read.all()}, "no search finds a parent"


def test_the_section_takes_the_place_of_most_of_its_chunks(project: Project) -> None:
    with project.open() as pipeline:
        result = pipeline.search("heron fish strikes swallows", k=3)
        assert result.hits[0].text == f"# Birds\n\n{BIRDS}"
        stage = next(stage for stage in result.trace.stages if stage.name == "auto_merging")
        assert "merged into 1 parents" in stage.detail
        alone = pipeline.search("acorns", k=3)
        assert alone.hits[0].text != f"# Trees\n\n{TREES}"
        assert "acorns" in alone.hits[0].text


def test_an_edit_elsewhere_embeds_nothing_anew_and_keeps_parents_right(project: Project) -> None:
    with project.open() as pipeline:
        before = {
            chunk.text: parent.whole.id for chunk in reader(pipeline).all() if (parent := reader(pipeline).parent(chunk.id))
        }
    project.write(
        "page.md",
        PAGE.replace("# Birds", "# Rivers\n\nA river runs here. It runs far, as rivers do, and farther than most.\n\n# Birds"),
    )
    report = project.ingest()
    assert report.chunks["removed"] == 0
    with project.open() as pipeline:
        read = reader(pipeline)
        text = next(document.text for document in read.documents() if document.uri == "page.md")
        after = {}
        for chunk in read.all():
            parent = read.parent(chunk.id)
            assert parent is not None
            after[chunk.text] = parent.whole.id
            if chunk.uri == "page.md":
                assert text[parent.whole.start : parent.whole.end] == parent.whole.text
        assert {text: after[text] for text in before} == before


def test_when_the_first_chunk_of_a_section_changes_the_others_go_with_it(project: Project) -> None:
    project.write("page.md", PAGE.replace("The oak grows", "The ash grows"))
    report = project.ingest()
    assert (report.chunks["added"], report.chunks["removed"]) == (1, 1)
    with project.open() as pipeline:
        read = reader(pipeline)
        section = [chunk for chunk in read.all() if chunk.heading == "Trees"]
        found = {parent.whole.id: parent for chunk in section if (parent := read.parent(chunk.id))}
        assert len(found) == 1
        assert set(next(iter(found.values())).children) == {chunk.id for chunk in section}


def test_chunks_of_other_chunkers_have_no_parent(tmp_path: Path) -> None:
    project = Project(tmp_path / "plain", size=20)
    project.write("page.md", PAGE)
    project.ingest()
    with project.open() as pipeline:
        read = reader(pipeline)
        assert [read.parent(chunk.id) for chunk in read.all()] == [None] * read.count()
        assert read.parent("00000000-0000-0000-0000-000000000000") is None


def test_another_embedding_cuts_anew_only_where_it_cuts(tmp_path: Path) -> None:
    project = Project(tmp_path / "semantic")
    project.write("page.md", PAGE)
    for chunker, same in (("semantic", False), ("{use: by_category, default: semantic}", False), ("sentence", True)):
        prints = []
        for seed in (0, 1):
            project.config.write_text(
                "sources: [{use: files, name: docs, path: docs, include: ['**/*.md']}]\n"
                f"chunker: {chunker}\nembedding: {{use: fake, seed: {seed}}}\n"
            )
            with project.open() as pipeline:
                prints.append(pipeline._index.wiring.wanted().chunking)
        assert (prints[0] == prints[1]) is same
