"""A generator that works in a thread, read from an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


async def in_a_thread(
    make: Callable[[], Generator[T, None, None]], wanted: Callable[[T], bool] = lambda piece: True
) -> AsyncGenerator[T, None]:
    """What the generator gives, as it comes, as far as it is `wanted`; all of it runs in one thread of the loop's own pool.

    Whoever reads no further ends it: it is closed after the piece that it is at.
    """
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[T | None] = asyncio.Queue()
    left = threading.Event()

    def work() -> None:
        with closing(make()) as made:
            for piece in made:
                if left.is_set():
                    return
                if wanted(piece):
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)

    working = loop.run_in_executor(None, copy_context().run, work)
    working.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await working
    finally:
        left.set()
        if not working.done():
            working.cancel()
        elif not working.cancelled():
            working.exception()  # whoever has left is not told
