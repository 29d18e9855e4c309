"""One question at a time in each conversation, which can be stopped, and whose answer comes in steps that an eye can follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from ragkit.query.answer import Answer

STEP_S = 0.06
"""Pieces that come within this time are shown together."""


class Running:
    """Which conversations are being answered. Used on one event loop."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str], asyncio.Event] = {}
        self._pages: dict[tuple[str, str], str] = {}

    @contextmanager
    def answering(self, owner: str, conversation: str, page: str) -> Iterator[asyncio.Event]:
        """Hold a conversation while its question is answered, on the open page of this id.

        Gives what tells to stop; raises where a question is being answered.
        """
        key = (owner, conversation)
        if key in self._stops:
            raise QueryError("the question before is still being answered", cure="wait for it, or stop it")
        self._stops[key] = stop = asyncio.Event()
        self._pages[key] = page
        try:
            yield stop
        finally:
            del self._stops[key], self._pages[key]

    def left(self, page: str) -> None:
        """Stop what is answered on a page that nobody has open any more."""
        for key in [key for key, shown in self._pages.items() if shown == page]:
            self._stops[key].set()

    def stop(self, owner: str, conversation: str) -> None:
        """Tell the answer of a conversation to stop, where there is one."""
        if event := self._stops.get((owner, conversation)):
            event.set()


async def followed(stop: asyncio.Event, pieces: AsyncGenerator[str | Answer, None]) -> AsyncGenerator[str | Answer, None]:
    """The text so far, as often as it is worth showing, and last the answer. What came before an error is shown too.

    When `stop` is set it ends at once, whatever the pieces are waiting for, and no further piece is made.
    """
    text, shown, at = "", "", 0.0
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    following: asyncio.Future[Any] | None = None
    try:
        while not stop.is_set():
            following = following or asyncio.ensure_future(anext(pieces))
            patience = max(0.0, at + STEP_S - time.monotonic()) if text != shown else None
            await asyncio.wait({following, stopping}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                done, following = following, None
                if done.exception() is None and isinstance(piece := done.result(), str):
                    text += piece
                else:
                    if text != shown:
                        yield text
                    yield done.result()
                    return
            if text != shown and time.monotonic() >= at + STEP_S:
                at, shown = time.monotonic(), text
                yield text
    except StopAsyncIteration:
        return
    finally:
        stopping.cancel()
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await following
        await pieces.aclose()
