"""The open views of this process: one object per view, so that a query and an ingest of one process share its store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ragkit.state.ledger import Ledger
from ragkit.state.records import ViewRecord
from ragkit.state.views import OpenStore, View


class ViewPool:
    """Hands out views and closes each when its last user has given it back."""

    def __init__(self, ledger: Ledger, open_store: OpenStore) -> None:
        self._ledger = ledger
        self._open_store = open_store
        self._lock = threading.Lock()
        self._views: dict[int, tuple[View, int]] = {}

    def take(self, record: ViewRecord) -> View:
        """The view of a record; give it back with `give_back`."""
        with self._lock:
            view, users = self._views.get(record.id, (None, 0))
            view = view or View(self._ledger, record, self._open_store)
            self._views[record.id] = (view, users + 1)
            return view

    def give_back(self, view: View) -> None:
        """End one use of a view."""
        with self._lock:
            _, users = self._views[view.record.id]
            if users > 1:
                self._views[view.record.id] = (view, users - 1)
                return
            del self._views[view.record.id]
            view.close()

    @contextmanager
    def using(self, *records: ViewRecord) -> Iterator[tuple[View, ...]]:
        """The views of some records for a `with` block."""
        views = tuple(self.take(record) for record in records)
        try:
            yield views
        finally:
            for view in views:
                self.give_back(view)
