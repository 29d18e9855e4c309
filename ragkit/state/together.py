"""Calls from several threads, done together: while one batch is at work, whoever comes waits and goes into the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Ticket(Generic[T, R]):
    """One call: what it asks, and what became of it. `leads` says that its thread has to do the next batch."""

    item: T
    ready: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: list[R] = field(default_factory=list)
    error: BaseException | None = None


class Together(Generic[T, R]):
    """Makes of a function of many items one of a single item, whose concurrent calls share a batch.

    Nobody waits for others to come: a call that finds no batch at work begins at once, alone. The batch that follows takes
    whatever has come meanwhile, `most` at once. Where a batch fails, its items are done one by one, so that each call gets
    its own error.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]], most: int) -> None:
        """`work` gives a result for each item, in their order."""
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Ticket[T, R]] = []
        self._busy = False

    def __call__(self, item: T) -> R:
        """The item's result. Raises what the work raises for it."""
        ticket: _Ticket[T, R] = _Ticket(item)
        with self._lock:
            self._waiting.append(ticket)
            ticket.leads, self._busy = not self._busy, True
        if not ticket.leads:
            ticket.ready.wait()
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result[0]

    def _lead(self, own: _Ticket[T, R]) -> None:
        """Do the batch that this call is in, and have one of those that came meanwhile do the next."""
        with self._lock:
            others = [ticket for ticket in self._waiting if ticket is not own]
            batch, self._waiting = [own, *others[: self._most - 1]], others[self._most - 1 :]
        try:
            self._do(batch)
        finally:
            for ticket in batch[1:]:
                ticket.ready.set()
            with self._lock:
                self._busy = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].leads = True
                    self._waiting[0].ready.set()

    def _do(self, batch: Sequence[_Ticket[T, R]]) -> None:
        try:
            results = self._work([ticket.item for ticket in batch])
            for ticket, result in zip(batch, results, strict=True):
                ticket.result.append(result)
        except BaseException as error:  # noqa: BLE001 - each call raises its own
            for ticket in batch:
                ticket.result.clear()
                ticket.error = error
            if len(batch) > 1 and isinstance(error, Exception):
                for ticket in batch:
                    ticket.error = None
                    self._do([ticket])
