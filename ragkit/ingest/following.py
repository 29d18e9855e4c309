"""Views that follow the ledger while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context

Step = Callable[[], object]


@contextmanager
def following(steps: Sequence[Step], last: Sequence[Step]) -> Iterator[Callable[[], None]]:
    """Do `steps` beside the block whenever it calls what it is given, and `last` at its end.

    A call while the steps are being done has them done once more. An error of a step is raised by the next call, or
    at the end of the block. A block that fails leaves the last steps undone.
    """
    wake, leave = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        while True:
            wake.wait()
            wake.clear()
            if leave.is_set():
                return
            try:
                for step in steps:
                    step()
            except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
                errors.append(error)
                return

    def call() -> None:
        if errors:
            raise errors[0]
        wake.set()

    thread = threading.Thread(target=copy_context().run, args=(work,), name="ragkit-views", daemon=True)
    thread.start()
    try:
        yield call
    finally:
        leave.set()
        wake.set()
        thread.join()
    if errors:
        raise errors[0]
    for step in (*steps, *last):
        step()
