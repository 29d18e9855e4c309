"""Chunks in the ledger: what keeps its number, what gets a new one, what becomes a tombstone, and when that goes."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from ragkit.state import documents as table
from ragkit.state.documents import ChunkChanges, NewChunk, NewDocument
from ragkit.state.generations import Generations, Wanted, WantedView
from ragkit.state.hashing import chunk_id, digest, document_id
from ragkit.state.ledger import Ledger
from ragkit.state.pending import pending
from ragkit.state.reader import Reader
from ragkit.state.records import GenerationRecord
from ragkit.state.schema import documents
from ragkit.state.storing import Cut, replace_chunks, store_documents

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]

WANTED = Wanted("c" * 32, WantedView("vector", "memory", "server", "v" * 32), WantedView("keyword", "memory", "server", "k" * 32))


class Book:
    """One document under one chunking, rewritten at will; a chunk per line."""

    def __init__(self, storage: Opener) -> None:
        self.ledger = Ledger(storage())
        self.generations = Generations(self.ledger, "test")
        self.generation = self.generations.ensure(WANTED)

    def write(
        self, text: str, uri: str = "a.md", title: str = "T", payload: str = "", generation: GenerationRecord | None = None
    ) -> ChunkChanges:
        identity = document_id("s", uri)
        chunking = (generation or self.generation).chunking
        new, start = [], 0
        seen: dict[str, int] = {}
        for ordinal, line in enumerate(text.split("\n")):
            seen[line] = seen.get(line, -1) + 1
            new.append(
                NewChunk(
                    id=chunk_id(identity, f"c{chunking}", line, seen[line]), ordinal=ordinal, text=line, lead=title, heading="",
                    start=start, end=start + len(line), page=None, truncated=False, input_hash=digest(title, line),
                    payload_hash=digest(payload),
                )
            )  # fmt: skip
            start += len(line) + 1
        document = NewDocument(identity, "s", uri, text, title, {}, digest(text), digest("recipe"), None)
        with self.ledger.write() as connection:
            (key,) = store_documents(connection, [document])
            return replace_chunks(connection, chunking, [Cut(identity, key, new)])

    def remove(self, uri: str) -> ChunkChanges:
        with self.ledger.write() as connection:
            return table.remove(connection, [document_id("s", uri)])

    def changes(self, applied: int = 0) -> list[tuple[str, bool]]:
        with self.ledger.read() as connection:
            return [
                (change.input.split("\n\n")[1], change.deleted)
                for change in pending(connection, self.generation.chunking, applied, 100)
            ]

    @property
    def seq(self) -> int:
        return int(self.ledger.meta("seq") or 0)

    def versions(self) -> int:
        with self.ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(documents)).scalar_one())


@pytest.fixture
def book(storage: Opener) -> Book:
    return Book(storage)


def test_only_what_changed_is_pending(book: Book) -> None:
    assert book.write("one\ntwo\nthree") == ChunkChanges(3, 0)
    before = book.seq
    assert book.write("new\none\ntwo\nthree") == ChunkChanges(1, 0)
    assert book.changes(before) == [("new", False)]
    chunks = Reader(book.ledger, book.generation).neighbours(str(chunk_id(document_id("s", "a.md"), "c1", "two", 0)), 5, 5)
    assert [(chunk.text, chunk.ordinal, chunk.start) for chunk in chunks] == [
        ("new", 0, 0),
        ("one", 1, 4),
        ("two", 2, 8),
        ("three", 3, 12),
    ]


def test_a_removed_line_becomes_a_tombstone_and_goes_when_all_views_passed_it(book: Book) -> None:
    book.write("one\ntwo")
    before = book.seq
    assert book.write("one") == ChunkChanges(0, 1)
    assert book.changes(before) == [("two", True)]
    with book.ledger.write() as connection:
        table.purge(connection, book.generation.chunking, before)
    assert book.changes(before) == [("two", True)], "a view that stands at `before` still needs it"
    assert book.versions() == 2
    with book.ledger.write() as connection:
        table.purge(connection, book.generation.chunking, book.seq)
    assert book.changes(before) == []
    assert book.versions() == 1


def test_a_line_that_comes_back_is_the_same_chunk(book: Book) -> None:
    book.write("one\ntwo")
    first = {chunk.id for chunk in Reader(book.ledger, book.generation).all()}
    book.write("one")
    assert book.write("one\ntwo") == ChunkChanges(1, 0)
    assert {chunk.id for chunk in Reader(book.ledger, book.generation).all()} == first


def test_equal_lines_are_chunks_of_their_own(book: Book) -> None:
    book.write("same\nsame\nsame")
    assert Reader(book.ledger, book.generation).count() == 3
    assert book.write("same\nsame") == ChunkChanges(0, 1)


def test_equal_documents_do_not_share_chunks(book: Book) -> None:
    book.write("one\ntwo", "a.md")
    book.write("one\ntwo", "b.md")
    assert book.remove("a.md") == ChunkChanges(0, 2)
    assert [(chunk.uri, chunk.text) for chunk in Reader(book.ledger, book.generation).all()] == [("b.md", "one"), ("b.md", "two")]


def test_a_new_title_and_new_metadata_renumber_the_same_chunks(book: Book) -> None:
    book.write("one\ntwo")
    before = book.seq
    ids = [chunk.id for chunk in Reader(book.ledger, book.generation).all()]
    assert book.write("one\ntwo", title="Other") == ChunkChanges(0, 0)
    assert book.changes(before) == [("one", False), ("two", False)]
    before = book.seq
    book.write("one\ntwo", title="Other", payload="category=x")
    assert book.changes(before) == [("one", False), ("two", False)]
    assert [chunk.id for chunk in Reader(book.ledger, book.generation).all()] == ids


def test_a_document_that_changes_while_another_chunking_is_built_keeps_its_old_text_for_the_old_chunks(book: Book) -> None:
    book.write("old line")
    old = book.generation
    new = book.generations.ensure(Wanted("d" * 32, WANTED.vector, WANTED.keyword))
    assert new.chunking != old.chunking
    book.write("new line", generation=new)
    (chunk,) = Reader(book.ledger, old).all()
    version = Reader(book.ledger, old).document_of(chunk.id)
    assert version is not None
    assert version.text[chunk.start : chunk.end] == chunk.text == "old line"
    assert [chunk.text for chunk in Reader(book.ledger, new).all()] == ["new line"]
    book.remove("a.md")
    assert Reader(book.ledger, old).count() == Reader(book.ledger, new).count() == 0, "deletions apply to both"


def test_what_is_not_cut_yet_is_found_after_a_crash(book: Book) -> None:
    book.write("one", "a.md")
    book.write("two", "b.md")
    other = book.generations.ensure(Wanted("d" * 32, WANTED.vector, WANTED.keyword))
    with book.ledger.read() as connection:
        assert [row.uri for row in table.uncut(connection, other.chunking, 0, 10)] == ["a.md", "b.md"]
        assert table.uncut(connection, book.generation.chunking, 0, 10) == []
    book.write("one", "a.md", generation=other)
    with book.ledger.read() as connection:
        assert [row.uri for row in table.uncut(connection, other.chunking, 0, 10)] == ["b.md"]


def test_the_reader_leaves_out_the_dead_and_the_unknown(book: Book) -> None:
    book.write("one\ntwo\nthree")
    reader = Reader(book.ledger, book.generation)
    ids = [chunk.id for chunk in reader.all()]
    book.write("one\nthree")
    asked = [ids[2], str(uuid.uuid4()), ids[1], "no uuid at all", ids[0]]
    assert [chunk.text for chunk in reader.chunks(asked)] == ["three", "one"]
    assert set(reader.alive(asked)) == {ids[0], ids[2]}


def test_ids_are_the_same_text_and_bytes_as_uuids() -> None:
    import uuid

    from ragkit.state.hashing import id_bytes, id_text

    for seed in range(50):
        known = uuid.uuid5(uuid.NAMESPACE_URL, str(seed))
        assert id_text(known.bytes) == str(known)
        assert id_bytes(str(known)) == known.bytes
    for text in ("", "n1", "not-a-uuid-at-all", "ab" * 15, "ab" * 17, "zz" * 16):
        assert id_bytes(text) is None
