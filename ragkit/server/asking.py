"""`/search` and `/ask`: a question to hits, or to an answer, in ragkit's own JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from ragkit.errors import RagkitError
from ragkit.pipeline import Pipeline
from ragkit.query.answer import Answer
from ragkit.query.threads import in_a_thread
from ragkit.query.trace import Trace
from ragkit.server.answers import Answered, Found
from ragkit.server.errors import Refused, explained, told
from ragkit.server.limits import Gate
from ragkit.server.schemas import AskRequest, SearchRequest

T = TypeVar("T")
_EVENT = {
    "type": "object", "required": ["data"],
    "properties": {"event": {"enum": ["piece", "answer", "error"]}, "data": {"type": "string"}},
}  # fmt: skip
STREAMS: dict[str, Any] = {"content": {"text/event-stream": {"schema": _EVENT}}}
"""What the OpenAPI document says of an answer that may come in pieces."""
_logger = logging.getLogger("ragkit.server")


@dataclass(frozen=True)
class Desk:
    """What answers questions for every route: the pipeline, behind a gate and a limit of time."""

    pipeline: Pipeline
    gate: Gate
    timeout_s: float
    watchers: Sequence[Callable[[Trace], None]] = ()
    """Are told of every question that was answered."""

    async def search(self, question: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """The JSON of `ragkit search`."""
        async with self.gate.turn():
            found = await self._in_time(self.pipeline.asearch(question, **wanted), self.timeout_s)
        self._tell(found.trace)
        return found.to_dict()

    async def stream(self, question: str, wanted: dict[str, Any]) -> AsyncGenerator[str | Answer, None]:
        """The answer in pieces, and last the whole of it. Closing it ends the work."""
        async with aclosing(self._pieces(question, wanted, lambda piece: True)) as pieces:
            async for piece in pieces:
                yield piece

    async def answer(self, question: str, wanted: dict[str, Any]) -> Answer:
        """The whole answer."""
        async with aclosing(self._pieces(question, wanted, lambda piece: isinstance(piece, Answer))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    return piece
        raise RuntimeError("the stream ended without its answer")

    async def _pieces(
        self, question: str, wanted: dict[str, Any], chosen: Callable[[str | Answer], bool]
    ) -> AsyncGenerator[str | Answer, None]:
        """Those pieces that are chosen; the others do not reach the event loop, but between any two the work can end."""
        work = in_a_thread(lambda: self.pipeline.stream(question, **wanted), chosen)
        async with self.gate.turn(), aclosing(work) as pieces:
            deadline = time.monotonic() + self.timeout_s
            while (piece := await self._in_time(anext(pieces, None), deadline - time.monotonic())) is not None:
                if isinstance(piece, Answer):
                    self._tell(piece.trace)
                yield piece

    def _tell(self, trace: Trace) -> None:
        for watch in self.watchers:
            watch(trace)

    async def _in_time(self, work: Awaitable[T], left_s: float) -> T:
        try:
            async with asyncio.timeout(left_s):
                return await work
        except TimeoutError:
            raise Refused(504, f"there was no answer within {self.timeout_s:g} seconds", "timeout") from None


class Events(StreamingResponse):
    """Server-sent events, whose making ends with the response, however that ends."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._events = events

    async def stream_response(self, send: Send) -> None:
        """Send everything."""
        async with aclosing(self._events):
            await super().stream_response(send)


async def unless_left(request: Request, work: Awaitable[T]) -> T:
    """What `work` gives; it is cancelled as soon as the client has left. Raises `Refused` (499) then."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Refused(499, "the client has left", "client_left")
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def event(data: Any, name: str = "") -> str:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n"


async def begun(events: AsyncGenerator[str, None], ending: str = "") -> Events:
    """The events as a response. What fails before the first of them is an answer with a status of its own."""
    return Events(_guarded(await anext(events), events, ending))


async def _guarded(first: str, events: AsyncGenerator[str, None], ending: str) -> AsyncGenerator[str, None]:
    """The events; what fails when the answer has begun is told as an event of its own."""
    try:
        async with aclosing(events):
            yield first
            async for one in events:
                yield one
    except Refused as refused:
        yield event(told(refused.status, refused.message, refused.code), "error")
    except RagkitError as error:
        why = explained(error)
        yield event(told(why.status, why.message, why.code), "error")
    except Exception:
        _logger.exception("an answer failed when it had begun")
        yield event(told(500, "the server failed; its log has the reason", "internal"), "error")
    if ending:
        yield event(ending)


def install(app: FastAPI, desk: Desk, responses: dict[int | str, dict[str, Any]]) -> None:
    """Add the routes."""
    router = APIRouter(tags=["questions"], responses=responses)

    @router.post("/search", summary="The hits for a question, without an answer", response_model=Found)
    async def search(request: Request, asked: SearchRequest) -> Response:
        return JSONResponse(await unless_left(request, desk.search(asked.query, asked.wanted())))

    @router.post("/ask", summary="An answer with citations", response_model=Answered, responses={200: STREAMS})
    async def ask(request: Request, asked: AskRequest) -> Response:
        if asked.stream:
            return await begun(_events(desk.stream(asked.query, asked.wanted())))
        return JSONResponse((await unless_left(request, desk.answer(asked.query, asked.wanted()))).to_dict())

    app.include_router(router)


async def _events(pieces: AsyncGenerator[str | Answer, None]) -> AsyncGenerator[str, None]:
    """`piece` with `{"text"}` for each piece, last `answer` with the JSON of `ragkit ask`."""
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Answer):
                yield event(piece.to_dict(), "answer")
            else:
                yield event({"text": piece}, "piece")
