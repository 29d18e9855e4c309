"""One writer beside readers, in threads and in processes; and the other process."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ragkit.testing.conformance.stores import Opened, chunk, uid, uids

ROUNDS = 25
"""How often `churn` writes."""
PATIENCE_S = 100.0
"""After this long another process is stopped."""

_FIXED = uids(f"fixed-{i}" for i in range(20))


def prepared(store: Opened) -> None:
    """Fill a store for `churn`."""
    names = [f"{kind}-{i}" for kind in ("rewritten", "deleted") for i in range(ROUNDS)]
    store.put(*(chunk(name, "common before") for name in (*names, *(f"fixed-{i}" for i in range(20)))))


def churn(store: Opened, tell: Callable[[str, str], None], *, deletes: bool) -> None:
    """Rewrite a chunk, delete another, flush and `tell`, again and again."""
    for i in range(ROUNDS):
        store.write(chunk(f"rewritten-{i}", "common after"))
        if deletes:
            store.store.delete_nodes([uid(f"deleted-{i}")])
        store.flush()
        tell("rewritten", uid(f"rewritten-{i}"))
        if deletes:
            tell("deleted", uid(f"deleted-{i}"))


class Watch:
    """Searches in `threads` threads while it is entered, and holds every answer against what had been told before it."""

    def __init__(self, store: Opened, threads: int) -> None:
        self.problems: list[str] = []
        self.searches = 0
        self.told: list[tuple[str, str]] = []
        self._store = store
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._search, daemon=True) for _ in range(threads)]

    def tell(self, what: str, id_: str) -> None:
        """From now on no search may find the chunk as it was."""
        self.told.append((what, id_))

    def look(self) -> list[str]:
        """Search once; what is wrong with the answers."""
        told = list(self.told)
        before, after = set(self._store.about("before", 500)), set(self._store.about("after", 500))
        rewritten = {id_ for what, id_ in told if what == "rewritten"}
        return [
            *(f"{what} but found as it was: {id_}" for what, id_ in told if id_ in before),
            *(f"deleted but found: {id_}" for what, id_ in told if what == "deleted" and id_ in after),
            *(f"rewritten and not found: {id_}" for id_ in rewritten - after),
            *(f"untouched and not found: {id_}" for id_ in _FIXED if id_ not in before),
        ]

    def _search(self) -> None:
        while not self._stop.is_set() and len(self.problems) < 10:
            try:
                self.problems += self.look()
            except Exception as error:  # noqa: BLE001  whatever a reader meets is the finding
                self.problems.append(f"{type(error).__name__}: {error}")
            self.searches += 1

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Child:
    """Another process at work on the same store; see `ragkit.testing.conformance.child`.

    It is forked from multiprocessing's fork server. A test run that has many of them saves most of their time with
    `multiprocessing.set_forkserver_preload(["ragkit.testing.conformance.child"])` at its beginning.
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        self._job = dict(job)

    def __enter__(self) -> Child:
        from ragkit.testing.conformance.child import work

        context = multiprocessing.get_context("forkserver")
        self._errors = tempfile.NamedTemporaryFile("w+", encoding="utf-8")
        self._pipe, told = context.Pipe(duplex=False)
        self._process = context.Process(target=work, args=(self._job, told, self._errors.name), daemon=True)
        self._process.start()
        told.close()
        self._timer = threading.Timer(PATIENCE_S, self._process.kill)
        self._timer.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.join()
        self._pipe.close()
        self._errors.close()

    def lines(self) -> Iterator[tuple[str, str]]:
        """What it tells, until it ends."""
        while True:
            try:
                what, id_ = self._pipe.recv()
            except EOFError:
                return
            yield what, id_

    def wait(self) -> int:
        """Wait for its end; its exit status, negative for a signal."""
        for _ in self.lines():
            pass
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def errors(self) -> str:
        """What it printed."""
        self._errors.seek(0)
        return self._errors.read()
