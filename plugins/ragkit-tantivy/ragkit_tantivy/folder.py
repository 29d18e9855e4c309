"""The index on disk: made, opened, written to by one process at a time, read by any number.

folder/index/        tantivy's files; `meta.json`, replaced by every commit, says which of them make up the index
folder/index.json    what it was built with
folder/MARK          what the host keeps with the store
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import tantivy

from ragkit.errors import ComponentError
from ragkit.stores import Fault, insist
from ragkit_tantivy.records import schema

FORMAT = 1
MARK = "MARK"

Stamp = tuple[int, int, int]

_ABOUT = "index.json"
_LOCK = ".tantivy-writer.lock"
_DROPPED = "dropped-"


def stamp(folder: Path) -> Stamp | None:
    """Changes with every commit; None where there is no index."""
    try:
        status = (folder / "index" / "meta.json").stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def opened(folder: Path, settings: Mapping[str, Any]) -> tantivy.Index:
    """The index that is there. Raises `ComponentError` where it is damaged, or built with other settings than these."""
    try:
        about = json.loads((folder / _ABOUT).read_text("utf-8"))
        index = tantivy.Index.open(str(folder / "index"))
        index.config_reader("manual")  # by itself it would look every half second
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from error
    if about.get("format") != FORMAT:
        raise ComponentError(
            f"{folder} was written by another ragkit-tantivy", component="tantivy", cure="install the version that wrote it"
        )
    if about.get("settings") != dict(settings):
        raise ComponentError(
            f"{folder} was built with {about.get('settings')}, not with {dict(settings)}",
            component="tantivy",
            cure="run `ragkit ingest`, which builds an index of its own for other options",
        )
    return index


def ready(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make an empty index where there is none. What a crash left of one that was being made or dropped is removed."""
    if stamp(folder) is not None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    replace(folder / _ABOUT, json.dumps({"format": FORMAT, "settings": dict(settings)}))
    (folder / "index").mkdir(exist_ok=True)
    tantivy.Index(schema(), str(folder / "index"))
    sync(folder)


@contextlib.contextmanager
def writer(folder: Path, settings: Mapping[str, Any], memory_mb: int, timeout: float) -> Iterator[tantivy.IndexWriter]:
    """Write for a `with` block, alone among all processes. What was not committed at its end is gone.

    Raises `ComponentError` naming the holder where another process writes for longer than `timeout` seconds.
    """
    lock = folder / "index" / _LOCK

    def judge(error: Exception) -> Fault | None:
        busy = isinstance(error, ValueError) and "LockBusy" in str(error)
        return Fault(_held(folder, lock), again=True, after_s=0.05) if busy else None

    try:
        taken = insist(lambda: _taken(folder, settings, memory_mb), judge, patience_s=timeout)
    except (OSError, ValueError) as error:
        raise damaged(folder, error) from error
    with contextlib.suppress(OSError):
        lock.write_text(str(os.getpid()), "utf-8")  # the lock is on the file, not in it
    try:
        yield taken
    except (OSError, ValueError) as error:
        raise _unwritten(folder, error) from error
    finally:
        # lets go of the lock; what goes wrong in a merge leaves the segments as they were
        with contextlib.suppress(OSError, ValueError):
            taken.wait_merging_threads()


def _taken(folder: Path, settings: Mapping[str, Any], memory_mb: int) -> tantivy.IndexWriter:
    """A writer over the index as it is now: tantivy forgets the files that other processes wrote since it was opened."""
    while True:
        before = stamp(folder)
        # one thread: a commit then makes one segment, and the work of a write is in making terms
        taken = opened(folder, settings).writer(memory_mb * 1_000_000, 1)
        if stamp(folder) == before:
            return taken
        taken.wait_merging_threads()


def remove(folder: Path) -> None:
    """Remove the index and the mark, at once for every reader."""
    (folder / MARK).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / "index").rename(folder / f"{_DROPPED}{uuid4().hex}")
    (folder / _ABOUT).unlink(missing_ok=True)
    if folder.is_dir():
        sync(folder)
        _sweep(folder)


def replace(path: Path, text: str) -> None:
    """Write a small file whole or not at all, durably."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sys.audit("ragkit.boundary", f"tantivy.{path.name}")
    temporary.replace(path)
    sync(path.parent)


def sync_index(folder: Path) -> None:
    """Make the last commit durable: tantivy syncs its files, but not that `meta.json` now is the new one."""
    sync(folder / "index")


def sync(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(folder: Path, why: object) -> ComponentError:
    """Say that the index cannot be read."""
    return ComponentError(
        f"the tantivy index in {folder} is damaged: {why}",
        component="tantivy",
        cure="run `ragkit views repair`, which builds it anew",
    )


def _unwritten(folder: Path, why: object) -> ComponentError:
    return ComponentError(
        f"the tantivy index in {folder} cannot be written: {why}",
        component="tantivy",
        cure="look at the disk (full? read-only?), then run again: what was there before is as it was",
    )


def _held(folder: Path, lock: Path) -> ComponentError:
    try:
        holder = f"process {int(lock.read_text('utf-8'))}"
    except (OSError, ValueError):
        holder = "another process"
    return ComponentError(
        f"the tantivy index in {folder} is being written by {holder}",
        component="tantivy",
        cure="wait until it is done, or raise `timeout`; a process that has ended holds nothing",
    )


def _sweep(folder: Path) -> None:
    """Remove what a crash left of dropped indexes."""
    for path in folder.glob(f"{_DROPPED}*"):
        shutil.rmtree(path, ignore_errors=True)
