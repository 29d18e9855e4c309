"""Work that goes on beside other work."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from queue import Full, Queue
from typing import Literal, TypeVar

T = TypeVar("T")

_LOOK_S = 0.1
_WAIT_S = 10.0

_Message = tuple[Literal["item"], T] | tuple[Literal["error"], BaseException] | tuple[Literal["end"], None]


@contextmanager
def ahead(items: Generator[T, None, None], depth: int = 2) -> Iterator[Iterator[T]]:
    """`items`, made by a thread of their own that is at most `depth` ahead of whoever takes them.

    What making them raises is raised where it would have come next. Leaving the block ends the thread after the item that
    it is at; one that takes very long is not waited for.
    """
    queue: Queue[_Message[T]] = Queue(depth)
    left = threading.Event()

    def offer(message: _Message[T]) -> bool:
        while not left.is_set():
            try:
                queue.put(message, timeout=_LOOK_S)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not offer(("item", item)):
                    return
            offer(("end", None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the other thread
            offer(("error", error))
        finally:
            items.close()

    def taken() -> Iterator[T]:
        while True:
            message = queue.get()
            if message[0] == "item":
                yield message[1]
            elif message[0] == "error":
                raise message[1]
            else:
                return

    thread = threading.Thread(target=copy_context().run, args=(make,), name="ragkit-ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        left.set()
        thread.join(_WAIT_S)
