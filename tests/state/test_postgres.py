"""A state in PostgreSQL: how it is opened, what is said when it cannot be, its locks, and what only it has to bear."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import insert, select

from ragkit.errors import LockedError, StateError
from ragkit.state import postgres as module
from ragkit.state import schema
from ragkit.state.advisory import AdvisoryLock
from ragkit.state.conversations import Conversations
from ragkit.state.ledger import Ledger
from ragkit.state.postgres import PostgresStorage

pytest_plugins = ["storages"]

Opener = Callable[..., PostgresStorage]


@pytest.fixture
def opened(state_url: str, tmp_path: Path) -> Iterator[Opener]:
    """Opens the state, or the one of another URL, in a folder."""
    made: list[PostgresStorage] = []

    def open_(url: str = state_url, folder: str = "local") -> PostgresStorage:
        made.append(PostgresStorage(url, tmp_path / folder))
        return made[-1]

    yield open_
    for one in made:
        if one._engine is not None:
            one._engine.dispose()


@contextmanager
def ledger_of(storage: PostgresStorage) -> Iterator[Ledger]:
    ledger = Ledger(storage)
    try:
        yield ledger
    finally:
        ledger.close()


def test_a_folder_has_a_name_among_those_of_all_machines(opened: Opener) -> None:
    places = []
    for folder in ("one", "one", "other"):
        storage = opened(folder=folder)
        storage.prepare()
        places.append(storage.place)
    assert places[0] == places[1] != places[2]


def test_two_schemas_are_two_states(opened: Opener, state_url: str) -> None:
    with ledger_of(opened()) as one, ledger_of(opened(f"{state_url}_other")) as other:
        assert one.state_uuid != other.state_uuid
        one.start_run("a" * 32)
        assert (len(one.runs()), len(other.runs())) == (1, 0)
        with one.lock("ingest", "it").hold(), other.lock("ingest", "it").hold():
            pass


def test_whether_there_is_a_state_is_asked_without_making_one(opened: Opener, postgres: Any, state_url: str) -> None:
    storage = opened()
    assert not storage.has("ledger", schema.TABLES)
    name = state_url.rsplit("=", 1)[1]
    assert postgres.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", name) == [(0,)]
    with ledger_of(storage):
        assert storage.has("ledger", schema.TABLES)


def test_a_reader_sees_one_snapshot_and_does_not_wait_for_the_writer(opened: Opener) -> None:
    with ledger_of(opened()) as ledger, ledger.read() as reading:
        everything = select(schema.meta.c.key)
        before = reading.execute(everything).scalars().all()
        with ledger.write() as writing:
            writing.execute(insert(schema.meta).values(key="new", value="x"))
            assert reading.execute(everything).scalars().all() == before
        assert reading.execute(everything).scalars().all() == before, "committed, but after this snapshot"
        assert ledger.meta("new") == "x"


def test_a_writer_that_waits_for_too_long_says_so(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SESSION", module._SESSION.replace("'60s'", "'200ms'"))
    with ledger_of(opened()) as ledger, ledger.write():
        with pytest.raises(StateError, match="lock timeout") as caught:
            ledger.start_run("a" * 32)
        assert "another process was writing for a minute" in caught.value.cure


TEXTS = ["a\0b", "\1", "\0\1\0001\1", "plain", "\x010", "snow ☃ and 𝄞"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_any_characters_comes_back(opened: Opener, text: str) -> None:
    storage = opened()
    conversations = Conversations(storage)
    started = conversations.start("ann")
    conversations.add("ann", started.id, text, {"answer": text})
    (turn,) = conversations.turns("ann", started.id)
    assert (turn.question, turn.answer) == (text, {"answer": text})
    conversations.close()


# locks

HOLDER = """
import sys
from pathlib import Path
from ragkit.state.postgres import PostgresStorage
lock = PostgresStorage(sys.argv[1], Path(sys.argv[2])).lock("a", "it")
lock.acquire(shared=sys.argv[3] == "shared")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(url: str, folder: Path, how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, url, str(folder), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def lock_of(storage: PostgresStorage) -> AdvisoryLock:
    return storage.lock("a", "the ingest of this state")


def test_a_held_lock_is_refused_and_its_holder_named(opened: Opener, state_url: str, tmp_path: Path) -> None:
    lock = lock_of(opened())
    with holder(state_url, tmp_path, "alone") as process:
        with pytest.raises(LockedError, match=rf"the ingest of this state is in use by process {process.pid} .* on ") as caught:
            lock.acquire()
        assert str(process.pid) in caught.value.holder
        assert not lock.held
        process.kill()
        lock.acquire(timeout_s=10)  # the server frees what a dead process held
    assert lock.held
    lock.release()
    assert not lock.held


def test_readers_share_and_keep_a_writer_out(opened: Opener, state_url: str, tmp_path: Path) -> None:
    storage = opened()
    lock = lock_of(storage)
    with holder(state_url, tmp_path, "shared") as process:
        lock.acquire(shared=True)
        with pytest.raises(LockedError):
            lock.acquire()
        assert lock.held, "a failed conversion must not lose the shared lock"
        with pytest.raises(LockedError):
            lock_of(storage).acquire()
        process.kill()
        lock.acquire(timeout_s=10)
        with pytest.raises(LockedError):
            lock_of(storage).acquire(shared=True)
        lock.acquire(shared=True)
        lock_of(storage).acquire(shared=True)
    lock.release()


def test_two_threads_of_a_process_keep_each_other_out(opened: Opener) -> None:
    storage = opened()
    at_work, most = [0], [0]

    def work() -> None:
        for _ in range(5):
            with lock_of(storage).hold(timeout_s=30):
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
                time.sleep(0.005)
                at_work[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_lock_whose_connection_is_gone_is_no_lock(opened: Opener, postgres: Any) -> None:
    lock = lock_of(opened())
    lock.acquire()
    lock.confirm()
    ours = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
    postgres.execute(ours, lock._key % 2**32)
    with pytest.raises(StateError, match="the ingest of this state cannot be locked: terminating connection"):
        lock.confirm()
    lock.release()
    with lock.hold():
        lock.confirm()


# what is said


def login(url: str, **parts: str) -> str:
    """The URL with another user, password or database."""
    head, _, rest = url.partition("://")
    where, _, database = rest.rpartition("@")[2].partition("/")
    user, password = parts.get("user", "postgres"), parts.get("password", "wrong-secret")
    return f"{head}://{quote(user)}:{quote(password)}@{where}/{parts.get('database', database)}"


@pytest.mark.parametrize(
    ("parts", "said", "cure"),
    [
        ({}, "password authentication failed", "correct user and password in `state`"),
        ({"user": "nobody-here"}, "password authentication failed", "correct user and password in `state`"),
        ({"database": "nowhere", "password": "{right}"}, 'database "nowhere" does not exist', "createdb"),
    ],
)
def test_who_may_not_log_in(opened: Opener, postgres: Any, parts: dict[str, str], said: str, cure: str) -> None:
    from postgres import PASSWORD

    storage = opened(login(postgres.url(), **{key: value.format(right=PASSWORD) for key, value in parts.items()}))
    for attempt in (storage.prepare, lambda: storage.has("ledger", schema.TABLES), lambda: lock_of(storage).acquire()):
        with pytest.raises(StateError, match=said) as caught:
            attempt()
        assert cure in caught.value.cure
        assert "secret" not in str(caught.value)
        assert PASSWORD not in str(caught.value)


def test_a_role_that_may_make_no_schema_uses_one_that_is_there(opened: Opener, postgres: Any) -> None:
    name, role = postgres.create_database(), postgres.create_role("pw")
    url = postgres.url(name, user=role, password="pw")
    with pytest.raises(StateError, match="permission denied") as caught:
        opened(url).prepare()
    assert "GRANT" in caught.value.cure
    postgres.execute(SQL("CREATE SCHEMA ragkit AUTHORIZATION {}").format(Identifier(role)), database=name)
    with ledger_of(opened(url)) as ledger:
        ledger.start_run("a" * 32)


def test_another_encoding_is_refused(opened: Opener, postgres: Any) -> None:
    name = postgres.create_database("ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(StateError, match="has the encoding SQL_ASCII") as caught:
        opened(postgres.url(name)).prepare()
    assert "UTF8" in caught.value.cure


@pytest.mark.parametrize("url", ["postgresql://u:secret@h:port/d", "postgresql://u:secret@h/d?schema=a;b"])
def test_an_address_that_is_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="`state`") as caught:
        PostgresStorage(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_somebody_elses_tables_are_left_alone(opened: Opener, postgres: Any, state_url: str) -> None:
    name = state_url.rsplit("=", 1)[1]
    postgres.execute(SQL("CREATE SCHEMA {}").format(Identifier(name)))
    postgres.execute(SQL("CREATE TABLE {}.meta (key text, value text)").format(Identifier(name)))
    with pytest.raises(StateError, match="was not made by ragkit"):
        Ledger(opened())
