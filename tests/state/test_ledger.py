"""The ledger as a database: opening, versions, turns of writers, and what is said when it cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, select, update

from ragkit.errors import StateError, StateVersionError
from ragkit.state import schema
from ragkit.state.filesystem import refuse_network
from ragkit.state.ledger import Ledger, next_seq
from ragkit.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]


def test_reopening_keeps_the_identity(storage: Opener) -> None:
    first = Ledger(storage())
    uuid = first.state_uuid
    first.close()
    assert Ledger(storage()).state_uuid == uuid


def test_it_runs_in_wal_mode_with_full_synchronisation(tmp_path: Path) -> None:
    with Ledger(SqliteStorage(tmp_path)).read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_newer_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(SqliteStorage(tmp_path))
    with ledger.write() as connection:
        connection.execute(update(schema.meta).where(schema.meta.c.key == "schema_version").values(value="999"))
    ledger.close()
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(StateVersionError, match="schema version 999"):
        Ledger(SqliteStorage(tmp_path))
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_an_older_ledger_is_migrated_in_one_transaction(storage: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger(storage()).close()
    steps = {schema.SCHEMA_VERSION: lambda connection: connection.exec_driver_sql("CREATE TABLE newer (x INTEGER)")}
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
    ledger = Ledger(storage())
    assert ledger.meta("schema_version") == str(schema.SCHEMA_VERSION)
    with ledger.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM newer").scalar() == 0


def test_a_damaged_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, although it has the name of one" * 40)
    with pytest.raises(StateError, match="not a database") as caught:
        Ledger(SqliteStorage(tmp_path))
    assert "restore it from a backup" in caught.value.cure


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    connection.close()
    with pytest.raises(StateError, match="was not made by ragkit"):
        Ledger(SqliteStorage(tmp_path))


AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from ragkit.errors import StateError
from ragkit.state.ledger import Ledger
from ragkit.state.sqlite import SqliteStorage
Ledger(SqliteStorage(Path(tempfile.mkdtemp()))).close()  # imports what it needs while it may
os.chdir(sys.argv[1])
if os.getuid() == 0:  # root may do everything, so become somebody who may not
    os.setgid(65534)
    os.setuid(65534)
try:
    Ledger(SqliteStorage(Path(".")))
except StateError as error:
    print(error)
"""


def test_a_folder_without_write_permission_says_so(tmp_path: Path) -> None:
    state = tmp_path / "locked"
    state.mkdir(mode=0o555)
    result = subprocess.run([sys.executable, "-c", AS_NOBODY, str(state)], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("the ledger in"), result.stdout + result.stderr
    assert "write permission" in result.stdout


def test_a_full_disk_rolls_the_transaction_back(tmp_path: Path) -> None:
    """A file size limit stands in for the disk's end: SQLite meets the same failing write."""
    script = """
import resource, signal, sys
from pathlib import Path
from sqlalchemy import insert
from ragkit.errors import StateError
from ragkit.state import schema
from ragkit.state.ledger import Ledger
from ragkit.state.sqlite import SqliteStorage
ledger = Ledger(SqliteStorage(Path(sys.argv[1])))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with ledger.write() as connection:
        connection.execute(insert(schema.meta).values(key="big", value="x" * 1_000_000))
except StateError as error:
    print("refused:", error.message)
"""
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("refused: the ledger in"), result.stdout
    ledger = Ledger(SqliteStorage(tmp_path))
    assert ledger.meta("big") is None
    with ledger.write() as connection:
        connection.execute(insert(schema.meta).values(key="after", value="works"))
    assert ledger.meta("after") == "works"


class Interrupts:
    """A value at which Ctrl-C comes while SQLite binds it."""

    def __conform__(self, protocol: object) -> object:
        raise KeyboardInterrupt


def test_an_interrupt_within_a_statement_gives_the_write_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragkit.state.sqlite._BUSY_TIMEOUT_S", 0.1)
    ledger = Ledger(SqliteStorage(tmp_path))
    rows = [("half", "done"), ("interrupted", Interrupts())]

    def work() -> None:
        with ledger.write() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES (?, ?)", rows)

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    ledger.start_run("a" * 32)  # while the traceback still holds SQLite's cursor
    assert caught.tb is not None
    assert ledger.meta("half") is None
    assert len(ledger.runs()) == 1


def test_a_full_disk_is_named_where_sqlite_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(SqliteStorage(tmp_path))
    monkeypatch.setattr("ragkit.state.filesystem._LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(StateError, match="cannot be used: the disk is full") as caught, ledger.read() as connection:
        connection.exec_driver_sql("SELECT * FROM a_table_that_is_not_there")
    assert "free some disk space" in caught.value.cure


def test_writers_take_turns_and_no_number_is_given_out_twice(storage: Opener) -> None:
    ledger = Ledger(storage())
    given: list[int] = []

    def work() -> None:
        mine = Ledger(storage())
        for _ in range(20):
            with mine.write() as connection:
                given.append(next_seq(connection, 3))
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 240, 3))
    assert ledger.meta("seq") == "240"


def test_a_failing_block_leaves_nothing(storage: Opener) -> None:
    ledger = Ledger(storage())

    def work() -> None:
        with ledger.write() as connection:
            connection.execute(insert(schema.meta).values(key="half", value="done"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with ledger.read() as connection:
        assert connection.execute(select(schema.meta.c.key).where(schema.meta.c.key == "half")).scalar() is None


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/export {tmp_path.resolve()}/my\\040share {kind} rw 0 0\n")
    folder = tmp_path / "my share" / "deep" / ".ragkit"
    with pytest.raises(StateError, match=rf"network file system \({kind}"):
        refuse_network(folder, mounts=mounts)
    refuse_network(tmp_path / "elsewhere", mounts=mounts)


def test_runs_are_recorded(storage: Opener) -> None:
    ledger = Ledger(storage())
    ledger.finish_run(ledger.start_run("a" * 32), "done", {"embedded": 3})
    ledger.start_run("b" * 32)
    newest, oldest = ledger.runs()
    assert (newest["status"], newest["finished"]) == ("running", None)
    assert (oldest["status"], oldest["report"]) == ("done", {"embedded": 3})
    assert oldest["finished"] >= oldest["started"]
