"""A view: a store that follows the ledger, its lock, its mark, and whether it holds what the ledger says.

The mark names the state, the view and the sequence number that the store has reached. A store that keeps marks itself keeps
this one; for the others it lies in a file in the view's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from ragkit.errors import ComponentError, DriftedError, OwnershipError
from ragkit.state.boundaries import boundary
from ragkit.state.copies import Copies
from ragkit.state.ledger import Ledger
from ragkit.state.locks import Lock
from ragkit.state.records import ViewRecord
from ragkit.state.schema import chunks, meta
from ragkit.state.stores import StoreAdapter

OpenStore = Callable[[ViewRecord], StoreAdapter]
"""Builds the store of a view."""

_MARK = "ragkit-mark.json"
_LOOKS = 3
_WAIT_S = 5.0
"""How long to wait for another process to let go of a store that takes one: a search is over by then."""


@dataclass(frozen=True)
class Health:
    """How a view stands to the ledger. `state` is `complete`, `lagging`, `drifted`, `missing` or `foreign`.

    `lag` counts chunk changes that the view has not applied; `count` is None where the store cannot tell.
    """

    state: str
    applied: int
    lag: int
    count: int | None
    expected: int
    detail: str = ""


class View:
    """An open view. One object per process and view, shared by its threads."""

    def __init__(self, ledger: Ledger, record: ViewRecord, open_store: OpenStore) -> None:
        self.record = record
        self.folder = ledger.folder / "views" / record.collection
        self._ledger = ledger
        self._copies = Copies(ledger)
        self._open_store = open_store
        self._store: StoreAdapter | None = None
        self._opening = threading.RLock()
        self._lock: Lock | None = None
        if record.processes == "one":
            self._lock = ledger.local_lock(
                record.collection, f"the {record.component} store of this state, which takes one process,"
            )

    @property
    def store(self) -> StoreAdapter:
        """The store, opened when it is first asked for; other processes are kept out if it cannot bear them."""
        with self._opening:
            if self._store is None:
                if self._lock is not None:
                    self._lock.acquire(shared=True, timeout_s=_WAIT_S)
                self._store = self._open()
            return self._store

    def _open(self) -> StoreAdapter:
        """Open the store. One that refuses even a second reader cannot say who the first is: the lock can."""
        try:
            return self._open_store(self.record)
        except ComponentError:
            if self._lock is None:
                raise
            self._lock.acquire(shared=False, timeout_s=_WAIT_S)
            try:
                return self._open_store(self.record)  # whoever had it has gone
            finally:
                self._lock.acquire(shared=True, timeout_s=_WAIT_S)

    @contextlib.contextmanager
    def writing(self) -> Iterator[StoreAdapter]:
        """Hold the store alone for a `with` block. Raises `LockedError` naming whoever else has it open."""
        store = self.store
        if self._lock is None:
            yield store
            return
        self._lock.acquire(shared=False, timeout_s=_WAIT_S)
        try:
            yield store
        finally:
            self._lock.acquire(shared=True, timeout_s=_WAIT_S)

    @property
    def is_own(self) -> bool:
        """Whether this copy of the view belongs to this machine alone, among several that share the ledger."""
        return self._copies.is_own(self.record)

    def turn(self) -> Lock:
        """The lock under which one writer at a time brings this view up to date, from whichever machine it can be reached."""
        lock = self._ledger.local_lock if self.is_own else self._ledger.lock
        return lock("writer", "the writer's turn of this state")

    def join(self) -> None:
        """Make sure that the ledger knows the copy that is used here.

        Where it does not, what lies there belongs to a copy that was given up, and goes first: an interruption is repaired by
        joining again. Raises `LockedError` while another process has that open.
        """
        if self._copies.known(self.record):
            return
        joining = self._ledger.local_lock(f"{self.record.collection}-join", f"the {self.record.component} store of this machine")
        with joining.hold(timeout_s=_WAIT_S), self._opening:
            if self._copies.known(self.record):
                return
            if self.is_own:
                self._clear()
            self._copies.join(self.record)

    def _clear(self) -> None:
        """Throw away this machine's copy."""
        self.close()
        if self._lock is not None:
            self._lock.acquire(timeout_s=_WAIT_S)
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            self.close()

    def close(self) -> None:
        """Close the store and let other processes in."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._lock is not None:
            self._lock.release()

    def mark(self, applied: int) -> None:
        """Leave the mark with the collection, with the number it has reached."""
        values = {"ragkit_state": self._ledger.state_uuid, "ragkit_view": str(self.record.id), "ragkit_applied": str(applied)}
        if not self.store.mark(values):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / _MARK, json.dumps(values))

    def marker(self) -> Mapping[str, str] | None:
        """The mark that is there, or None."""
        found = self.store.marker()
        if found is not None:
            return found
        try:
            values: Mapping[str, str] = json.loads((self.folder / _MARK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return values

    def own(self, applied: int) -> None:
        """Make sure before writing that the collection is ours: mark an empty one, refuse a foreign one."""
        marker, count = self.marker(), self.store.count()
        if marker is None and not count and not applied:
            self.mark(0)
        elif marker is None or marker.get("ragkit_state") != self._ledger.state_uuid:
            raise self._foreign(f"the collection has {count} entries and does not carry the mark of this state")

    def health(self) -> Health:
        """Compare mark and count with the ledger, looking again where a writer moves on meanwhile."""
        numbers = self._numbers()
        marker, count = self.marker(), self.store.count()
        for _ in range(_LOOKS):
            again = self._numbers()
            if again == numbers:
                break
            numbers, marker, count = again, self.marker(), self.store.count()
        applied, newest, lag, expected = numbers
        state, detail = "complete", ""
        if marker is None and not count and not applied:
            state = "lagging" if lag else "complete"
        elif marker is None:
            state, detail = ("foreign" if count else "missing"), "the collection carries no mark of this state"
        elif marker.get("ragkit_state") != self._ledger.state_uuid:
            state, detail = "foreign", "the collection belongs to another state"
        elif not applied <= int(marker.get("ragkit_applied", "0")) <= newest:
            reached = marker.get("ragkit_applied", "0")
            state, detail = "drifted", f"it stands at {reached}, the ledger at {applied}: one of them was restored from a backup"
        elif lag:
            state, detail = "lagging", f"{lag} changes to apply"
        elif count is not None and count != expected:
            state, detail = "drifted", f"it holds {count} chunks where the ledger has {expected}"
        return Health(state, applied, lag, count, expected, detail)

    def require_sound(self) -> None:
        """Raise `DriftedError` or `OwnershipError` where the view must not answer. A lagging view may."""
        health = self.health()
        if health.state in ("drifted", "missing"):
            raise DriftedError(f"{self._what()} has drifted: {health.detail}", cure="run `ragkit views repair`")
        if health.state == "foreign":
            raise self._foreign(health.detail)

    def destroy(self) -> None:
        """Remove the collection and the view's folder. Raises `LockedError` while another process has it open."""
        if self._lock is not None:
            self._lock.acquire(shared=False)
        if self.record.processes == "server":
            marker = self.marker()
            if marker is not None and marker.get("ragkit_state") == self._ledger.state_uuid:
                self.store.drop()
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _what(self) -> str:
        return f"the {self.record.kind} store {self.record.component} (collection {self.record.collection})"

    def _foreign(self, detail: str) -> OwnershipError:
        place = "the collection" if self.record.processes == "server" else str(self.folder)
        return OwnershipError(
            f"{self._what()} is not this state's: {detail}",
            cure=f"move {place} away, which ragkit never does, and run `ragkit views repair`",
        )

    def _numbers(self) -> tuple[int, int, int, int]:
        """Applied number, newest number, changes beyond the applied one, live chunks."""
        mine = chunks.c.chunking == self.record.chunking
        with self._ledger.read() as connection:
            applied = self._copies.applied(connection, self.record)
            newest = int(connection.execute(select(meta.c.value).where(meta.c.key == "seq")).scalar() or 0)
            lag = connection.execute(select(func.count()).select_from(chunks).where(mine, chunks.c.seq > applied)).scalar_one()
            live = connection.execute(select(func.count()).select_from(chunks).where(mine, ~chunks.c.deleted)).scalar_one()
        return applied, newest, lag, live


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a crash leaves the old one or the new one, whole."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    boundary("file.rename")
    temporary.replace(path)
