"""Locks between processes: who holds one is named, and the kernel frees what a dead process held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ragkit.errors import LockedError, StateError
from ragkit.state.locks import FileLock

HOLDER = """
import sys
from pathlib import Path
from ragkit.state.locks import FileLock
lock = FileLock(Path(sys.argv[1]), "it")
lock.acquire(shared=sys.argv[2] == "shared")
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_is_refused_and_its_holder_named(tmp_path: Path) -> None:
    with hold(tmp_path / "a.lock", "alone") as holder:
        lock = FileLock(tmp_path / "a.lock", "the ingest of this state")
        with pytest.raises(LockedError, match=rf"the ingest of this state is in use by process {holder.pid} ") as caught:
            lock.acquire()
        assert str(holder.pid) in caught.value.holder
        assert not lock.held
        holder.kill()
    lock.acquire()
    assert lock.held
    lock.release()


def test_readers_share_and_keep_a_writer_out(tmp_path: Path) -> None:
    with hold(tmp_path / "a.lock", "shared") as other:
        lock = FileLock(tmp_path / "a.lock", "it")
        lock.acquire(shared=True)
        with pytest.raises(LockedError):
            lock.acquire(shared=False)
        assert lock.held, "a failed conversion must not lose the shared lock"
        with pytest.raises(LockedError):
            FileLock(tmp_path / "a.lock", "it").acquire()
        other.kill()
        other.wait()
        lock.acquire(shared=False, timeout_s=5)
        lock.release()


def test_a_waiting_writer_gets_its_turn(tmp_path: Path) -> None:
    with hold(tmp_path / "a.lock", "alone") as holder:
        lock = FileLock(tmp_path / "a.lock", "it")
        assert holder.stdin is not None
        holder.stdin.close()
        with lock.hold(timeout_s=10):
            assert lock.held
        assert not lock.held


def test_the_holder_is_named_without_its_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ragkit", "ask", "what is the password of Ann?", "--api-key=secret"])
    lock = FileLock(tmp_path / "a.lock", "it")
    lock.acquire()
    assert "(ragkit ask)" in (tmp_path / "a.lock").read_text()
    lock.release()
    for words, said in [(["-c", "secret"], "(python)"), (["ask.py", "secret"], "(ask.py)"), (["ragkit", "-c", "x"], "(ragkit)")]:
        monkeypatch.setattr(sys, "argv", words)
        with lock.hold():
            assert (tmp_path / "a.lock").read_text().endswith(said)


def test_a_lock_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where the folder should be")
    with pytest.raises(StateError, match=r"the lock .*a\.lock cannot be used: File exists"):
        FileLock(tmp_path / "locks" / "a.lock", "it").acquire()


def test_a_full_disk_leaves_the_holder_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    lock = FileLock(tmp_path / "a.lock", "it")
    lock.acquire()
    assert lock.held
    lock.release()
