"""Copies of views: one where the store is a server, one on each machine where it is embedded.

A machine joins with the first use of its copy. One that was silent for long is no longer waited for; when it comes back it
joins anew, with an empty copy, since the tombstones that it has missed may be gone.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from ragkit.errors import StateError
from ragkit.state.ledger import Ledger
from ragkit.state.records import ViewRecord
from ragkit.state.schema import copies, views

_SILENT_S = 7 * 86_400
_HEARD_S = 3_600
"""So often a copy that is in use is noted as seen."""


@dataclass(frozen=True)
class Copy:
    """A copy of a view: the machine that has it, the sequence number it has reached, and when it was last in use."""

    host: str
    applied: int
    seen: float
    here: bool


class Copies:
    """The copies of one ledger's views, seen from this machine."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def is_own(self, view: ViewRecord) -> bool:
        """Whether the copy that is used here belongs to this machine alone, among several that share the ledger."""
        return self._place(view) != ""

    def known(self, view: ViewRecord) -> bool:
        """Whether the copy used here is known; if so, it is noted as seen."""
        with self._ledger.ask() as connection:
            seen = connection.execute(select(copies.c.seen).where(self._mine(view))).scalar()
        if seen is None or not self.is_own(view) or time.time() - seen < _HEARD_S:
            return seen is not None
        with self._ledger.write("copy.seen") as connection:
            return connection.execute(update(copies).where(self._mine(view)).values(seen=time.time())).rowcount > 0

    def join(self, view: ViewRecord) -> None:
        """Make a copy known that is empty."""
        with self._ledger.write("copy.join") as connection:
            self.begin(connection, view)

    def begin(self, connection: Connection, view: ViewRecord) -> None:
        """Note a copy that is empty."""
        place, host = self._place(view), socket.gethostname()
        values = {"view": view.id, "place": place, "host": host if place else "", "applied": 0, "seen": time.time()}
        connection.execute(insert(copies).values(values))

    def applied(self, connection: Connection, view: ViewRecord) -> int:
        """The number that the copy used here has reached."""
        return int(connection.execute(select(copies.c.applied).where(self._mine(view))).scalar() or 0)

    def move(self, connection: Connection, view: ViewRecord, applied: int) -> None:
        """Record how far the copy has come. Raises `StateError` for one that is not known any more."""
        values = {"applied": applied, "seen": time.time()}
        if not connection.execute(update(copies).where(self._mine(view)).values(values)).rowcount:
            raise StateError(
                f"this machine's copy of the {view.kind} store {view.component} was given up, because it was silent for long",
                cure="run the command again: the copy is made anew",
            )

    def passed(self, connection: Connection, chunking: int) -> int:
        """The number that every copy of a chunking's views has passed; those that were silent for long are given up."""
        silent = (copies.c.place != "") & (copies.c.place != self._ledger.place) & (copies.c.seen < time.time() - _SILENT_S)
        connection.execute(delete(copies).where(silent))
        query = select(func.min(copies.c.applied)).join(views, views.c.id == copies.c.view).where(views.c.chunking == chunking)
        return int(connection.execute(query).scalar() or 0)

    def of(self, view: ViewRecord) -> list[Copy]:
        """All copies of a view, this machine's first."""
        query = select(copies).where(copies.c.view == view.id).order_by(copies.c.host, copies.c.place)
        with self._ledger.ask() as connection:
            rows = connection.execute(query).all()
        found = [Copy(row.host, row.applied, row.seen, row.place == self._place(view)) for row in rows]
        return sorted(found, key=lambda copy: not copy.here)

    def _place(self, view: ViewRecord) -> str:
        return "" if view.processes == "server" else self._ledger.place

    def _mine(self, view: ViewRecord) -> ColumnElement[bool]:
        return (copies.c.view == view.id) & (copies.c.place == self._place(view))
