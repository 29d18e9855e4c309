"""Locks between processes: what all locks do, and `flock` on files, released by the kernel when their holder dies.

The file's content names the holder for the error message; it is never what decides.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ragkit.errors import LockedError, StateError

_POLL_S = 0.02


class Lock(ABC):
    """A lock that several may hold shared, or one alone. Not reentrant; one object belongs to one user."""

    what: str
    """What the lock protects, in messages, such as `the ingest of this state`."""

    @property
    @abstractmethod
    def held(self) -> bool:
        """Whether this object holds the lock, shared or not."""

    @abstractmethod
    def acquire(self, *, shared: bool = False, timeout_s: float = 0.0) -> None:
        """Take the lock, or change how it is held. Raises `LockedError` naming the holder after `timeout_s`."""

    def confirm(self) -> None:  # noqa: B027 - what the kernel holds is not lost
        """Make sure that the lock is held still, where it can be lost. Raises `StateError`."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; does nothing where it is not held."""

    @contextmanager
    def hold(self, *, shared: bool = False, timeout_s: float = 0.0) -> Iterator[None]:
        """Hold the lock for a `with` block."""
        self.acquire(shared=shared, timeout_s=timeout_s)
        try:
            yield
        finally:
            self.release()


class FileLock(Lock):
    """A lock on one file, between the processes of one machine."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """See `Lock`."""
        return self._fd is not None

    def acquire(self, *, shared: bool = False, timeout_s: float = 0.0) -> None:
        """See `Lock`."""
        fd = self._fd if self._fd is not None else self._open()
        deadline = time.monotonic() + timeout_s
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        while True:
            try:
                fcntl.flock(fd, mode | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    holder = _holder(fd)
                    self._fall_back(fd)
                    raise in_use(self.what, holder) from None
                time.sleep(_POLL_S)
        self._fd = fd
        with suppress(OSError):  # on a full disk the holder goes without a name
            os.ftruncate(fd, 0)
            os.pwrite(fd, this_process().encode(), 0)

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StateError(
                f"the lock {self.path} cannot be used: {error.strerror}",
                cure="free some disk space, or give yourself write permission on the state folder",
            ) from error

    def _fall_back(self, fd: int) -> None:
        """After a failed attempt: a failed conversion has lost what was held (flock(2)), so take it shared again."""
        if self._fd is None:
            os.close(fd)
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            self.release()

    def release(self) -> None:
        """See `Lock`."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def in_use(what: str, holder: str) -> LockedError:
    """The error for a lock that somebody else holds."""
    return LockedError(f"{what} is in use by {holder}", holder=holder, cure="wait until it has ended, or stop it")


def this_process() -> str:
    """How this process is named to others: its program and its first word, never a question or a secret."""
    return f"process {os.getpid()} ({_short(sys.argv)})"


def _holder(fd: int, table: Path = Path("/proc/locks")) -> str:
    """Who holds the lock: the kernel's list of locks where there is one, else whoever took it last."""
    noted = os.pread(fd, 200, 0).decode("utf-8", "replace") or "another process"
    inode = f":{os.fstat(fd).st_ino}"
    try:
        rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()]
        holders = [row[4] for row in rows if row[1] == "FLOCK" and row[5].endswith(inode)]
    except (OSError, IndexError):
        return noted
    others = [pid for pid in holders if pid != str(os.getpid())] or holders
    if not others or f"process {others[0]} " in noted:
        return noted
    try:
        words = Path(f"/proc/{others[0]}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        words = []
    return f"process {others[0]} ({_short(words)})"


def _short(words: Sequence[str]) -> str:
    """A program's name, and ragkit's command; what other programs are given may be a question or a secret."""
    if len(words) > 1 and Path(words[0]).name.startswith("python"):
        words = words[1:]
    name = Path(words[0]).name if words and words[0] else ""
    command = [word for word in words[1:2] if name == "ragkit" and not word.startswith("-")]
    return " ".join([name, *command]) if name and not name.startswith("-") else "python"
