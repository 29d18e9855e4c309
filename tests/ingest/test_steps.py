"""Keeping indexes in step: what an edit, a deletion, a title or metadata costs, and what both stores hold afterwards."""

from __future__ import annotations

from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters
from projects import Project, texts


def fill(project: Project, count: int = 6) -> None:
    for number, text in enumerate(texts(count)):
        project.write(f"river{number}.md", text)


def test_ingesting_twice_embeds_nothing(project: Project) -> None:
    fill(project)
    first, second = project.ingest(), project.ingest()
    assert first.documents["added"] == 6
    assert first.embedded == first.chunks["total"] > 0
    assert second.documents == {"added": 0, "updated": 0, "unchanged": 6, "removed": 0, "failed": 0}
    assert (second.embedded, second.cache_hits, second.chunks["added"]) == (0, 0, 0)
    assert second.exit_status == 0
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword


def test_a_changed_document_replaces_its_chunks_in_both_stores(project: Project) -> None:
    fill(project)
    project.ingest()
    project.write("river2.md", "# River 2\n\nThe ferry crosses where no bridge was ever built.\n")
    report = project.ingest()
    assert (report.documents["updated"], report.documents["unchanged"]) == (1, 5)
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword
    assert any("ferry" in text for text in project.hits("Where does the ferry cross?"))
    assert not any("number 2 is long" in text for text in project.hits("river number 2 is long", k=50))


def test_a_deleted_document_is_gone_from_both_stores(project: Project) -> None:
    fill(project)
    project.ingest()
    before = project.ids()[0]
    (project.docs / "river3.md").unlink()
    report = project.ingest()
    assert report.documents["removed"] == 1
    ledger, vector, keyword = project.ids()
    assert ledger == vector == keyword
    assert len(ledger) == len(before) - report.chunks["removed"]
    assert not any("number 3 is long" in text for text in project.hits("river number 3 is long", k=50))


def test_of_two_files_with_equal_text_the_other_one_stays(project: Project) -> None:
    text = "# Bridge\n\nThe old bridge is closed on Sundays.\n"
    for name in ("a.md", "b.md"):
        project.write(name, text)
    first = project.ingest()
    assert first.embedded == first.chunks["total"] / 2, "equal inputs are embedded once"
    (project.docs / "a.md").unlink()
    report = project.ingest()
    assert report.documents["removed"] == 1
    assert project.hits("When is the old bridge closed?") == [text.strip()]
    with project.open() as pipeline:
        assert [hit.uri for hit in pipeline.search("When is the old bridge closed?").hits] == ["b.md"]


def test_a_new_title_embeds_the_same_chunks_again(project: Project) -> None:
    page = "---\ntitle: {title}\n---\n\nThe quay is open from May to October. Boats leave at noon.\n"
    project.write("a.md", page.format(title="Harbour"))
    project.ingest()
    before = project.ids()[0]
    project.write("a.md", page.format(title="Marina"))
    report = project.ingest()
    assert report.embedded == len(before)
    assert (report.chunks["added"], report.chunks["removed"]) == (0, 0)
    assert project.ids() == (before, before, before)
    assert project.hits("marina"), "the keyword store sees the new title"


def test_new_metadata_embeds_nothing_and_a_filter_sees_it(project: Project) -> None:
    page = "---\ntitle: Harbour\nseason: {season}\n---\n\nThe quay is open. Boats leave at noon.\n"
    project.write("a.md", page.format(season="summer"))
    project.ingest()
    before = project.ids()
    project.write("a.md", page.format(season="winter"))
    report = project.ingest()
    assert (report.documents["updated"], report.embedded) == (1, 0)
    assert project.ids() == before
    for retriever in ("dense", "keyword", "hybrid"):
        with project.open(overrides=(f"retriever={retriever}",)) as pipeline:
            for season, found in (("winter", 1), ("summer", 0)):
                filters = MetadataFilters(filters=[MetadataFilter(key="season", value=season)])
                hits = pipeline.search("When do boats leave?", filters=filters).hits
                assert len(hits) == found, (retriever, season)


def test_moving_the_folder_and_touching_files_changes_nothing(project: Project) -> None:
    fill(project)
    project.ingest()
    before = project.ids()
    moved = project.folder.with_name("elsewhere")
    project.folder.rename(moved)
    again = Project.__new__(Project)
    again.folder, again.config, again.docs = moved, moved / "ragkit.yaml", moved / "docs"
    for path in again.docs.iterdir():
        path.touch()
    report = again.ingest()
    assert report.documents["unchanged"] == 6
    assert report.embedded == 0
    assert again.ids() == before


def test_a_rehash_reads_what_the_stamp_hides(project: Project) -> None:
    import os

    path = project.write("a.md", "# A\n\nThe gate opens at seven.\n")
    os.utime(path, ns=(10**18, 10**18))
    project.ingest()
    stat = path.stat()
    with path.open("r+") as file:  # the same inode, size and time
        file.write("# A\n\nThe gate opens at eight.\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert project.ingest().documents["unchanged"] == 1
    assert project.ingest(rehash=True).documents["updated"] == 1
    assert "eight" in project.hits("When does the gate open?")[0]


def test_the_ledger_stays_small(project: Project) -> None:
    size = 0
    for number in range(40):
        text = "\n\n".join(
            f"## Part {part}\n\n" + f"Sentence {number} of part {part} says something. " * 40 for part in range(10)
        )
        size += len(project.write(f"{number}.md", text).read_bytes())
    project.configure(size=250)
    project.ingest()
    state = project.folder / ".ragkit"
    ledger = sum(path.stat().st_size for path in state.glob("ledger.db*"))
    assert ledger <= 2.5 * size, f"{ledger / size:.2f} times the text"
