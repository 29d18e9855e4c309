"""The source `jsonl`: records to documents, line by line, bad ones by themselves."""

from __future__ import annotations

import gzip
import itertools
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from pydantic import ValidationError

from ragkit.builtin.sources import JsonlOptions
from ragkit.builtin.sources.jsonl import JsonlSource
from ragkit.components import Entry, ListsEntries
from ragkit.errors import DocumentError, SourceError

RECORD = {"_id": "7", "title": "On rivers", "text": "Rivers run.", "metadata": {"year": 1999}}


def source(path: Path, **options: Any) -> JsonlSource:
    return JsonlSource(JsonlOptions(path=path, **options))


def write(path: Path, *records: Any) -> Path:
    """Records as they are, texts and bytes as raw lines."""
    lines = [
        item if isinstance(item, bytes) else (item if isinstance(item, str) else json.dumps(item)).encode() for item in records
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def failure(entry: Entry) -> str:
    with pytest.raises(DocumentError) as raised:
        entry.convert(entry.read())
    return raised.value.message


def listed(found: JsonlSource) -> tuple[list[Entry], str]:
    """The entries, and what the listing ended with."""
    entries = []
    try:
        for entry in found.entries():
            entries.append(entry)
    except SourceError as error:
        return entries, error.message
    return entries, ""


def test_a_record_is_a_document(tmp_path: Path) -> None:
    found = source(write(tmp_path / "corpus.jsonl", RECORD))
    assert isinstance(found, ListsEntries)
    (entry,) = found.entries()
    assert (entry.uri, entry.stamp) == ("corpus.jsonl#7", None)
    document = entry.convert(entry.read())
    assert document.text == "Rivers run."
    assert document.metadata == {"year": 1999, "_id": "7", "uri": "corpus.jsonl#7", "title": "On rivers", "format": "text"}


def test_fields_by_name(tmp_path: Path) -> None:
    record = {"key": 12, "name": "A\n b", "head": "One", "body": "Two", "empty": "", "tags": ["x"], "year": 3, "_id": "no"}
    options = {"id": "key", "title": "name", "text": ["head", "missing", "empty", "body"], "metadata": ["tags", "year", "gone"]}
    (document,) = source(write(tmp_path / "a.jsonl", record), **options, format="markdown")
    assert document.text == "One\n\nTwo"
    assert document.metadata == {
        "tags": ["x"], "year": 3, "_id": "12", "uri": "a.jsonl#12", "title": "A b", "format": "markdown",
    }  # fmt: skip


def test_nested_metadata_becomes_flat(tmp_path: Path) -> None:
    record = {**RECORD, "metadata": {"a": {"b": {"c": 1}}, "none": None, "title": "other", "uri": "x", "list": [1, "\x00y"]}}
    (document,) = source(write(tmp_path / "a.jsonl", record))
    assert document.metadata == {
        "a.b.c": 1, "list": [1, "y"], "_id": "7", "uri": "a.jsonl#7", "title": "On rivers", "format": "text",
    }  # fmt: skip


def test_a_title_without_text_is_the_text(tmp_path: Path) -> None:
    (document,) = source(write(tmp_path / "a.jsonl", {"_id": "1", "title": "Only a title", "text": ""}))
    assert document.text == "Only a title"


def test_ids_with_signs(tmp_path: Path) -> None:
    (entry,) = source(write(tmp_path / "a.jsonl", {"_id": "a#b c/ü", "text": "x"})).entries()
    assert entry.uri == "a.jsonl#a#b c/ü"
    assert entry.convert(entry.read()).metadata["_id"] == "a#b c/ü"


def test_a_folder_a_packed_file_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "c.jsonl.gz").write_bytes(gzip.compress(json.dumps(RECORD).encode()))
    (folder / "a.jsonl").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(RECORD).encode() + b"\r\n\r\n  \n" + b'{"_id": "8", "text": "x"}'
    )
    (folder / "notes.txt").write_text("not a record")
    assert [entry.uri for entry in source(folder).entries()] == ["a.jsonl#7", "a.jsonl#8", "b/c.jsonl.gz#7"]
    assert [entry.uri for entry in source(folder, include=["b/"]).entries()] == ["b/c.jsonl.gz#7"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"_id": "9"}, "corpus.jsonl:2: has no text in 'text'"),
        ({"_id": "9", "text": "  "}, "has no text"),
        ({"_id": "9", "title": "Only this"}, "has no text"),
        ({"_id": "9", "text": 3}, "'text' is a number, and no text"),
        ({"_id": "9", "text": ["x"]}, "'text' is a list"),
        ({"_id": "9", "text": "x", "title": ["x"]}, "'title' is a list"),
        ({"_id": "9", "text": "x", "metadata": 3}, "'metadata' is a number"),
        ('{"_id": "9", "text": "x", "score": NaN}', "corpus.jsonl:2: is no JSON: NaN"),
        ('{"_id": "9", "text": "x", "score": 1e999}', "1e999"),
        (b'{"_id": "9", "text": "caf\xe9"}', "corpus.jsonl:2: is not UTF-8 at byte 26"),
    ],
)
def test_a_bad_record_fails_under_its_own_uri(tmp_path: Path, line: Any, told: str) -> None:
    path = write(tmp_path / "corpus.jsonl", RECORD, line, {"_id": "10", "text": "goes on"})
    entries, end = listed(source(path))
    assert [entry.uri for entry in entries] == ["corpus.jsonl#7", "corpus.jsonl#9", "corpus.jsonl#10"]
    assert told in failure(entries[1])
    assert entries[2].convert(entries[2].read()).text == "goes on"
    assert end == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"_id": "9", "text"', "corpus.jsonl:2: is no JSON: "),
        ("not json", "is no JSON: Expecting value at column 1"),
        ("[" * 100_000, "is no JSON"),
        ("[1, 2]", "is a list, and no object"),
        ({"text": "x"}, "has no id: '_id' is missing"),
        ({"_id": "  ", "text": "x"}, "has no id: '_id' is empty"),
        ({"_id": True, "text": "x"}, "has no id: '_id' is true or false"),
        ({"_id": 1.5, "text": "x"}, "has no id: '_id' is a number"),
        ('{"_id": "\\ud800", "text": "x"}', "its id cannot be stored"),
        (b'{"_id": "\xe9", "text": "x"}', "its id cannot be stored"),
        ({"_id": "9", "text": "x" * 200}, "has more bytes than max_bytes (150)"),
    ],
)
def test_a_record_without_an_id_fails_and_lets_nothing_be_removed(tmp_path: Path, line: Any, told: str) -> None:
    path = write(tmp_path / "corpus.jsonl", RECORD, line, {"_id": "10", "text": "goes on"})
    entries, end = listed(source(path, max_bytes=150 if "max_bytes" in told else 1_000_000))
    assert [entry.uri for entry in entries] == ["corpus.jsonl#7", "corpus.jsonl:2", "corpus.jsonl#10"]
    assert told in failure(entries[1])
    assert end == "1 records have no id that can be read (corpus.jsonl:2)"


def test_a_record_may_be_as_long_as_max_bytes(tmp_path: Path) -> None:
    line = json.dumps({"_id": "1", "text": "x" * 100})
    for end in ("\n", "\r\n", ""):
        (tmp_path / "a.jsonl").write_bytes((line + end).encode())
        assert len(list(source(tmp_path / "a.jsonl", max_bytes=len(line)))) == 1
        assert listed(source(tmp_path / "a.jsonl", max_bytes=len(line) - 1))[1]


def test_what_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        list(source(tmp_path / "none.jsonl").entries())
    packed = gzip.compress(b"\n".join(json.dumps({"_id": str(n), "text": str(hash(n))}).encode() for n in range(5_000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    entries, end = listed(source(tmp_path / "cut.jsonl.gz"))
    assert entries
    assert "cannot be read to its end" in end
    (tmp_path / "no.jsonl.gz").write_bytes(b"plain")
    assert "cannot be read" in listed(source(tmp_path / "no.jsonl.gz"))[1]


def test_listing_is_lazy_and_holds_one_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *({"_id": str(number), "text": "x" * 1_000} for number in range(4_000)))
    found = source(path)
    assert len(list(itertools.islice(found.entries(), 3))) == 3
    tracemalloc.start()
    try:
        for entry in found.entries():
            entry.read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000


def test_another_option_converts_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", RECORD)
    options: list[dict[str, Any]] = [{}, {"title": None}, {"text": ["text"]}, {"metadata": ["year"]}, {"format": "markdown"}]
    versions = [next(source(path, **chosen).entries()).version for chosen in options]
    assert len(set(versions)) == len(options)
    assert next(source(path, max_bytes=2_000).entries()).version == versions[0]


def test_options_that_are_wrong(tmp_path: Path) -> None:
    for wrong in ({"text": []}, {"include": []}, {"format": "html"}, {"max_bytes": 0}):
        with pytest.raises(ValidationError):
            JsonlOptions(path=tmp_path, **wrong)


def test_an_ingest_follows_the_lines(tmp_path: Path) -> None:
    project = Project(tmp_path)
    corpus = tmp_path / "corpus.jsonl"
    project.config.write_text(
        "sources: [{use: jsonl, name: corpus, path: corpus.jsonl}]\n"
        "embedding: fake\nvector_store: memory\nkeyword_store: memory\n"
    )
    records = [{"_id": str(number), "title": f"T{number}", "text": f"The river number {number}."} for number in range(6)]
    write(corpus, *records)
    assert project.ingest().documents["added"] == 6
    assert project.ingest().documents["unchanged"] == 6

    records[1]["text"] = "A lake."
    write(corpus, *records[:5], records[0], {"_id": "4b"})
    report = project.ingest()
    assert (report.documents["updated"], report.documents["removed"], report.exit_status) == (1, 1, 3)
    assert {item.uri for item in report.failures} == {"corpus.jsonl#0", "corpus.jsonl#4b"}

    write(corpus, *records[:4], "{")
    report = project.ingest()
    assert (report.documents["removed"], report.documents["failed"]) == (0, 1)
    assert any("no id that can be read" in note for note in report.notes)
    with project.open() as pipeline:
        hit = pipeline.search("the lake").hits[0]
    assert (hit.uri, hit.metadata["_id"], hit.metadata["title"], hit.text) == ("corpus.jsonl#1", "1", "T1", "A lake.")


def test_data_that_git_ignores_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", RECORD)
    (tmp_path / ".gitignore").write_text("*.jsonl\n")
    assert [entry.uri for entry in source(tmp_path).entries()] == ["a.jsonl#7"]
