"""Generations: what a new one shares, the switch, and what is forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ragkit.errors import LockedError
from ragkit.state.generations import Generations, Wanted, WantedView
from ragkit.state.ledger import Ledger
from ragkit.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]

WANTED = Wanted(
    "c" * 32, WantedView("vector", "chroma", "one", "v" * 32), WantedView("keyword", "bm25", "many_readers", "k" * 32)
)


@pytest.fixture
def generations(storage: Opener) -> Generations:
    return Generations(Ledger(storage()), "handbook")


def test_the_same_wish_is_the_same_generation(generations: Generations) -> None:
    assert generations.ensure(WANTED) == generations.ensure(WANTED)
    assert generations.live() is None
    assert generations.live_number() == 0


def test_another_store_shares_the_chunks_and_the_other_view(generations: Generations) -> None:
    first = generations.ensure(WANTED)
    second = generations.ensure(replace(WANTED, vector=WantedView("vector", "qdrant", "server", "q" * 32)))
    assert second.id != first.id
    assert (second.chunking, second.keyword) == (first.chunking, first.keyword)
    assert second.vector.id != first.vector.id
    assert generations.unused_views(first) == [first.vector]


def test_another_chunking_shares_nothing(generations: Generations) -> None:
    first, second = generations.ensure(WANTED), generations.ensure(replace(WANTED, chunking="d" * 32))
    assert not {first.vector.id, first.keyword.id} & {second.vector.id, second.keyword.id}


def test_the_switch_and_what_differs(generations: Generations) -> None:
    first = generations.ensure(WANTED)
    generations.switch(first)
    live = generations.live()
    assert live is not None
    assert live.live
    assert generations.matches(WANTED, live) == []
    assert generations.matches(replace(WANTED, chunking="d" * 32), live) == ["chunking"]
    other = replace(WANTED, keyword=WantedView("keyword", "tantivy", "one", "t" * 32))
    assert generations.matches(other, live) == ["keyword store"]


def test_forgetting_keeps_what_is_shared(generations: Generations) -> None:
    first = generations.ensure(WANTED)
    second = generations.ensure(replace(WANTED, vector=WantedView("vector", "qdrant", "server", "q" * 32)))
    generations.switch(second)
    generations.forget(first)
    (left,) = generations.all()
    assert left.id == second.id
    assert [kept.keyword.component for kept in generations.all()] == ["bm25"]


def test_a_lease_keeps_it(generations: Generations) -> None:
    first = generations.ensure(WANTED)
    reader = generations.lease(first)
    reader.acquire(shared=True)
    with pytest.raises(LockedError):
        generations.lease(first).acquire()
    reader.release()
    generations.lease(first).acquire()


def test_collections_are_named_for_project_view_and_state(generations: Generations, tmp_path: Path) -> None:
    names = {generations.ensure(WANTED).vector.collection, generations.ensure(WANTED).keyword.collection}
    names.add(Generations(Ledger(SqliteStorage(tmp_path / "other")), "handbook").ensure(WANTED).vector.collection)
    assert len(names) == 3
    assert all(name.startswith("handbook-") and len(name) <= 63 for name in names)


def test_an_older_ledger_keeps_how_far_its_views_have_come(tmp_path: Path) -> None:
    ledger = Ledger(SqliteStorage(tmp_path))
    generation = Generations(ledger, "handbook").ensure(WANTED)
    with ledger.write() as connection:
        for statement in (
            "ALTER TABLE views ADD COLUMN applied INTEGER NOT NULL DEFAULT 0",
            f"UPDATE views SET applied = 7 WHERE id = {generation.keyword.id}",
            "DROP TABLE copies",
            "UPDATE meta SET value = '1' WHERE key = 'schema_version'",
        ):
            connection.exec_driver_sql(statement)
    ledger.close()
    newer = Generations(Ledger(SqliteStorage(tmp_path)), "handbook")
    assert newer.ensure(WANTED) == generation
    assert (newer.applied(generation.vector), newer.applied(generation.keyword)) == (0, 7)
    newer.set_applied(generation.keyword, 9)
    assert newer.applied(generation.keyword) == 9
