"""Several machines with one state in a real PostgreSQL: what one has ingested, the others answer from."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from sqlalchemy import func, select, update

from ragkit.errors import ForeignDocumentError, LockedError, MismatchError, StateError
from ragkit.pipeline import Pipeline, following
from ragkit.state.schema import chunks, copies

pytest_plugins = ["storages"]

FERRY = "# Ferry\n\nThe ferry crosses the river at dawn.\n"
EVERYONE = "SELECT pg_terminate_backend(pid), pid FROM pg_stat_activity WHERE application_name LIKE 'ragkit: %'"
KITE = "# Kite\n\nA kite needs a tail of two metres.\n"


class Machine(Project):
    """A folder of its own with the documents in `docs/`; the state is shared."""

    def __init__(self, folder: Path, url: str, *, size: int = 40) -> None:
        self.url = url
        super().__init__(folder, size=size, more=f"state: {url}")

    def cut(self, size: int) -> None:
        self.configure(size=size, more=f"state: {self.url}")


@pytest.fixture
def here(state_url: str, tmp_path: Path) -> Machine:
    """The machine that ingests."""
    machine = Machine(tmp_path / "here", state_url)
    machine.write("ferry.md", FERRY)
    return machine


@pytest.fixture
def there(state_url: str, tmp_path: Path) -> Machine:
    """One without any documents."""
    return Machine(tmp_path / "there", state_url)


@pytest.fixture
def running(there: Machine, here: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """A pipeline that goes on over there while documents change here."""
    monkeypatch.setattr(following, "_LOOK_S", 0.05)
    here.ingest()
    with there.open() as pipeline:
        assert found(pipeline, "ferry") == ["ferry.md"]
        yield pipeline


def found(pipeline: Pipeline, question: str) -> list[str]:
    """The documents that the words of a question are found in."""
    return sorted({hit.uri for hit in pipeline.search(question, retriever="keyword").hits})


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)


def states(pipeline: Pipeline) -> list[tuple[str, str, int | None]]:
    return [(view.kind, view.state, view.count) for view in pipeline.status().views]


def test_another_machine_answers_without_ingesting_or_embedding(here: Machine, there: Machine) -> None:
    assert here.ingest().embedded == 1
    with there.open() as pipeline:
        assert states(pipeline) == [("vector", "lagging", 0), ("keyword", "lagging", 0)]
        for retriever in ("dense", "keyword"):
            (hit,) = pipeline.search("When does the ferry cross?", retriever=retriever).hits
            assert hit.text == "# Ferry\n\nThe ferry crosses the river at dawn."
        assert states(pipeline) == [("vector", "complete", 1), ("keyword", "complete", 1)]
        assert pipeline._index.wiring.embedding.embedded == 0, "what the machine before embedded is in the cache"
        assert all(one.sound for one in pipeline.verify_views())
    with here.open() as pipeline:
        assert states(pipeline) == [("vector", "complete", 1), ("keyword", "complete", 1)]
        copies = [copy for view in pipeline.status().views for copy in view.copies]
        assert [(copy.here, copy.applied) for copy in copies] == [(True, 1), (False, 1)] * 2


def test_a_running_process_follows(here: Machine, running: Pipeline) -> None:
    here.write("kite.md", KITE)
    here.ingest()
    eventually(lambda: found(running, "kite") == ["kite.md"])
    (here.docs / "ferry.md").unlink()
    here.ingest()
    assert found(running, "ferry") == [], "a hit that is a tombstone is dropped, whether the copy has followed or not"
    eventually(lambda: states(running) == [("vector", "complete", 1), ("keyword", "complete", 1)])
    assert all(one.sound for one in running.verify_views())


def test_tombstones_wait_for_every_machine(here: Machine, there: Machine) -> None:
    here.write("kite.md", KITE)
    here.ingest()
    assert there.hits("ferry kite") != []
    (here.docs / "kite.md").unlink()
    here.ingest()
    with here.open() as pipeline, pipeline._index.ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(chunks).where(chunks.c.deleted)).scalar() == 1
    with there.open() as pipeline:
        assert found(pipeline, "kite") == []
        assert all(one.sound for one in pipeline.verify_views())
    here.ingest()
    with here.open() as pipeline, pipeline._index.ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(chunks).where(chunks.c.deleted)).scalar() == 0


def test_a_machine_that_was_silent_for_long_begins_anew(here: Machine, there: Machine) -> None:
    here.write("kite.md", KITE)
    here.ingest()
    assert there.hits("ferry kite") != []
    (here.docs / "kite.md").unlink()
    with here.open() as pipeline, pipeline._index.ledger.write() as connection:
        mine = copies.c.place == pipeline._index.ledger.place
        connection.execute(update(copies).where(~mine).values(seen=time.time() - 8 * 86_400))
    here.ingest()
    with here.open() as pipeline, pipeline._index.ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(chunks).where(chunks.c.deleted)).scalar() == 0
        assert connection.execute(select(func.count()).select_from(copies)).scalar() == 2
    with there.open() as pipeline:
        assert (found(pipeline, "kite"), found(pipeline, "ferry")) == ([], ["ferry.md"])
        assert states(pipeline) == [("vector", "complete", 1), ("keyword", "complete", 1)]
        assert all(one.sound for one in pipeline.verify_views())


def test_beginning_anew_can_be_interrupted(here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here.write("kite.md", KITE)
    here.ingest()
    assert there.hits("ferry kite") != []
    (here.docs / "kite.md").unlink()
    with here.open() as pipeline, pipeline._index.ledger.write() as connection:
        mine = copies.c.place == pipeline._index.ledger.place
        connection.execute(update(copies).where(~mine).values(seen=time.time() - 8 * 86_400))
    here.ingest()

    def interrupted(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ragkit.state.views.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            there.hits("ferry")
    with there.open() as pipeline:
        assert found(pipeline, "ferry") == ["ferry.md"]
        assert all(one.sound for one in pipeline.verify_views())


def test_a_copy_that_is_lost_is_told_and_mended(here: Machine, there: Machine) -> None:
    here.ingest()
    assert there.hits("ferry") != []
    shutil.rmtree(there.folder / ".ragkit" / "views")
    with pytest.raises(StateError, match="has drifted"):
        there.hits("ferry")
    with there.open() as pipeline:
        pipeline.repair_views()
        assert found(pipeline, "ferry") == ["ferry.md"]


def test_a_folder_that_is_lost_is_made_anew(here: Machine, there: Machine) -> None:
    here.ingest()
    assert there.hits("ferry") != []
    shutil.rmtree(there.folder / ".ragkit")
    assert there.hits("ferry") != []


def test_another_chunking_answers_when_the_copy_is_there(here: Machine, there: Machine, running: Pipeline) -> None:
    here.write("ferry.md", FERRY * 4)
    here.cut(16)
    here.ingest()
    with pytest.raises(MismatchError, match="differs from this configuration in: chunking"):
        running.search("ferry")
    with pytest.raises(MismatchError):
        there.hits("ferry")
    there.cut(16)
    old = set((there.folder / ".ragkit" / "views").iterdir())
    assert len(there.hits("ferry")) == 4, "it is cut smaller"
    running.close()
    here.ingest()
    there.docs.joinpath("x.md").write_text("# X\n\nAnother.\n")
    there.ingest(allow_removals=True)
    left = set((there.folder / ".ragkit" / "views").iterdir())
    assert len(left) == 2
    assert not left & old, "what another machine has retired is swept here"


def test_only_one_ingest_at_a_time_on_all_machines(here: Machine, there: Machine) -> None:
    here.ingest()
    refused = pytest.raises(LockedError, match=r"the ingest of this state is in use by process \d+ \(.*\) on ")
    with here.open() as pipeline, pipeline._index.ledger.lock("ingest", "the ingest of this state").hold(), refused:
        there.ingest()


def test_an_upload_is_found_everywhere_and_taken_back_where_it_was_made(here: Machine, running: Pipeline) -> None:
    with here.open() as pipeline:
        upload = pipeline.upload("kite.md", KITE.encode())
        eventually(lambda: found(running, "kite") == ["kite.md"])
        with pytest.raises(ForeignDocumentError, match=r"kite\.md was uploaded on another machine") as caught:
            running.remove_upload(upload.document_id)
        assert "take it back there" in caught.value.cure
        assert pipeline.remove_upload(upload.document_id) == "kite.md"
        assert found(running, "kite") == []


def test_a_store_that_is_a_server_is_filled_once(state_url: str, here: Machine, there: Machine) -> None:
    for machine in (here, there):
        machine.configure(more=f"state: {state_url}\nvector_store: {{use: pgvector, url: '{state_url.partition('?')[0]}'}}")
    here.ingest()
    with there.open() as pipeline:
        assert states(pipeline) == [("vector", "complete", 1), ("keyword", "lagging", 0)]
        assert found(pipeline, "ferry") == ["ferry.md"]
        with pipeline._index.ledger.read() as connection:
            places = connection.execute(select(copies.c.view, copies.c.place != "")).all()
        assert sorted(tuple(row) for row in places) == [(1, False), (2, True), (2, True)]


def test_the_database_goes_and_comes_back(here: Machine, running: Pipeline, postgres: Any) -> None:
    alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    for _ in range(2):
        pids = [pid for (_, pid) in postgres.execute(EVERYONE)]

        eventually(lambda pids=pids: postgres.execute(alive, pids) == [(0,)])
        assert found(running, "ferry") == ["ferry.md"], "a broken connection is replaced"
    here.write("kite.md", KITE)
    here.ingest()
    eventually(lambda: found(running, "kite") == ["kite.md"])


def test_an_ingest_whose_connections_are_cut_is_repeated(here: Machine, there: Machine, postgres: Any) -> None:
    """Cut in front of every third durable boundary, in one try after another, until a try crosses fewer."""
    crossed, at = 0, 0

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal crossed
        if event == "ragkit.boundary":
            crossed += 1
            if crossed == at:
                postgres.execute(EVERYONE)

    sys.addaudithook(listen)
    for number in range(10):
        here.write(f"{number}.md", f"# Page {number}\n\nOf kites and ferries, number {number}.\n")
    failed = 0
    for at in range(1, 100, 3):
        crossed = 0
        here.write("edition.md", f"# Edition\n\nThis is edition {at} of it.\n")
        try:
            here.ingest()
        except StateError:
            failed += 1
        if crossed < at:
            break
    at = 0
    assert failed >= 3
    assert here.ingest().chunks["total"] == 12
    with there.open() as pipeline:
        assert found(pipeline, "dawn") == ["ferry.md"]
        assert all(one.sound for one in pipeline.verify_views())
