"""What bounds a request: how often, how many at once, how large, how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ragkit.server.errors import Refused, busy


class RateLimit:
    """So many requests in any minute for each name; 0 sets no limit. Every worker counts for itself."""

    def __init__(self, per_minute: int) -> None:
        self._item = parse(f"{per_minute}/minute") if per_minute else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, name: str) -> None:
        """Count a request. Raises `Refused` (429) with the seconds after which one is taken again."""
        if self._item is not None and not self._limiter.hit(self._item, name):
            free_at = self._limiter.get_window_stats(self._item, name).reset_time
            seconds = int(free_at - time.time()) + 1
            raise busy("too many requests; slow down", seconds, status=429, code="rate_limit_exceeded")


class Gate:
    """Lets so many questions be worked on at once and so many more wait; others are told to come back (503)."""

    def __init__(self, concurrency: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(concurrency)
        self._waiting, self._most = 0, waiting
        self._pace_s = 0.1
        self._concurrency = concurrency

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place, for a `with` block."""
        if self._free.locked() and self._waiting >= self._most:
            seconds = round(self._pace_s * self._most / self._concurrency)
            raise busy("the server is busy; try again in a moment", min(max(seconds, 1), 30))
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        began = time.monotonic()
        try:
            yield
        finally:
            self._pace_s += 0.1 * (time.monotonic() - began - self._pace_s)
            self._free.release()


class _ReadsTooSlowly(Exception):
    """The client takes nothing of its answer."""


class Bounds:
    """ASGI middleware: refuses bodies that are too large, told or not, and clients that send or read too slowly.

    What is too large is refused before it is read where its length is told, and else as soon as it has become so.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._most = most_bytes
        self._timeout = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if not told.isdigit() or int(told) > self._most:
            await self._too_large().response()(scope, receive, send)
            return
        counted, whole, began = 0, False, False
        deadline = time.monotonic() + self._timeout

        async def limited() -> Message:
            nonlocal counted, whole
            if whole:  # what follows is that the client leaves, which may take any time
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(deadline - time.monotonic(), 0.001))
            except TimeoutError:
                why = f"the request did not come within {self._timeout:g} seconds"
                raise Refused(408, why, "too_slow", headers={"Connection": "close"}) from None
            counted += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if counted > self._most:
                raise self._too_large()
            return message

        async def sending(message: Message) -> None:
            nonlocal began
            began = True
            try:
                async with asyncio.timeout(self._timeout):
                    await send(message)
            except TimeoutError:
                raise _ReadsTooSlowly from None

        try:
            await self._app(scope, limited, sending)
        except _ReadsTooSlowly:
            return  # what is half sent is cut off
        except Refused as refused:
            if began:
                raise
            response = refused.response()
            response.headers["Connection"] = "close"
            await response(scope, receive, send)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is larger than {self._most / 1e6:g} MB", "too_large", headers={"Connection": "close"})
