"""One question at a time in each conversation, which can be stopped, and whose answer comes in steps that an eye can follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from ragkit.query.answer import Answer

T = TypeVar("T")

STEP_S = 0.06
"""Pieces that come within this time are shown together."""


class Running:
    """Which conversations are being answered. Used on one event loop."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str], asyncio.Event] = {}

    @contextmanager
    def answering(self, owner: str, conversation: str) -> Iterator[asyncio.Event]:
        """Hold a conversation while its question is answered. Gives what tells to stop; raises where one is being answered."""
        key = (owner, conversation)
        if key in self._stops:
            raise QueryError("the question before is still being answered", cure="wait for it, or stop it")
        self._stops[key] = stop = asyncio.Event()
        try:
            yield stop
        finally:
            del self._stops[key]

    def stop(self, owner: str, conversation: str) -> None:
        """Tell the answer of a conversation to stop, where there is one."""
        if event := self._stops.get((owner, conversation)):
            event.set()


async def until(stop: asyncio.Event, pieces: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """`pieces`, until `stop` is set: then it ends at once, whatever they are waiting for, and no further piece is made."""
    stopping = asyncio.ensure_future(stop.wait())
    following: asyncio.Future[T] | None = None
    try:
        while not stop.is_set():
            following = asyncio.ensure_future(anext(pieces))
            await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                piece = following.result()
            except StopAsyncIteration:
                return
            yield piece
    finally:
        stopping.cancel()
        if following is not None and not following.done():
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following
        await pieces.aclose()


async def steps(pieces: AsyncGenerator[str | Answer, None]) -> AsyncGenerator[str | Answer, None]:
    """The text so far, as often as it is worth showing, and last the answer. What came before an error is shown too."""
    text, shown, at = "", "", 0.0
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                if not isinstance(piece, str):
                    yield piece
                    return
                text += piece
                if time.monotonic() - at >= STEP_S:
                    at, shown = time.monotonic(), text
                    yield text
    except Exception:
        if text != shown:
            yield text
        raise
