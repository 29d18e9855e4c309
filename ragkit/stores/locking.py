"""One writer at a time in a folder, by a lock that the kernel releases when its holder dies; and names that last."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ragkit.errors import ComponentError

_POLL_S = 0.01


@contextmanager
def write_lock(path: Path, component: str, timeout_s: float) -> Iterator[None]:
    """Hold the lock on the file `path` for a `with` block; its content names the holder, and it must never be removed.

    Raises `ComponentError` naming the holder after `timeout_s`. Objects of one process shut each other out too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + timeout_s
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 100, 0).decode("utf-8", "replace").strip() or "another process"
                raise ComponentError(
                    f"the {component} store in {path.parent} is being written by {holder}",
                    component=component,
                    cure=f"wait until that has ended, or stop it; it was waited for {timeout_s:g} s",
                )
            time.sleep(_POLL_S)
        with suppress(OSError):  # on a full disk the holder goes without a name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: what was made, renamed or removed there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
