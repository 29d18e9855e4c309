"""`/v1`: ragkit as every client of OpenAI's API asks it.

The last message is the question, those before it are the conversation. `citations` stand beside `choices`, in a stream
with the last piece. `finish_reason` is `stop` for an answer and for the admission that there is none.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ragkit.pipeline import Exchange
from ragkit.query.answer import Answer
from ragkit.server.answers import Completion, Models, Vectors
from ragkit.server.asking import STREAMS, Desk, begun, event, unless_left
from ragkit.server.errors import Refused
from ragkit.server.schemas import ChatRequest, EmbeddingsRequest, Message

_DONE = "[DONE]"


def install(app: FastAPI, desk: Desk, responses: dict[int | str, dict[str, Any]]) -> None:
    """Add the routes."""
    router = APIRouter(prefix="/v1", tags=["openai"], responses=responses)
    index, embedding = desk.pipeline.config.name, desk.pipeline.embedding_name
    started = int(time.time())

    @router.get("/models", summary="The index, which answers, and its embedding", response_model=Models)
    async def models() -> Response:
        names = dict.fromkeys((index, embedding))
        listed = [{"id": name, "object": "model", "created": started, "owned_by": "ragkit"} for name in names]
        return JSONResponse({"object": "list", "data": listed})

    @router.post(
        "/chat/completions", summary="An answer to the last message, with citations", response_model=Completion,
        responses={200: STREAMS},
    )  # fmt: skip
    async def chat_completions(request: Request, asked: ChatRequest) -> Response:
        _check_model(asked.model, index)
        question, wanted = _question(asked.messages), asked.ragkit.wanted() if asked.ragkit else {}
        wanted["history"] = _history(asked.messages[:-1])
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": index}
        if asked.stream:
            return await begun(_chunks(desk.stream(question, wanted), head), ending=_DONE)
        return JSONResponse(_completion(await unless_left(request, desk.answer(question, wanted)), head))

    @router.post("/embeddings", summary="The vectors of texts", response_model=Vectors)
    async def embeddings(request: Request, asked: EmbeddingsRequest) -> Response:
        _check_model(asked.model, embedding)
        texts = asked.texts
        async with desk.gate.turn():
            work = asyncio.to_thread(desk.pipeline.embed, texts, queries=asked.input_type == "query")
            vectors, tokens = await unless_left(request, work)
        form = _packed if asked.encoding_format == "base64" else list
        data = [{"object": "embedding", "index": number, "embedding": form(vector)} for number, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": embedding, "usage": usage})

    app.include_router(router)


def _check_model(name: str, known: str) -> None:
    if name != known:
        raise Refused(404, f"there is no model {name[:100]!r} here; ask for {known!r}", "model_not_found")


def _question(messages: Sequence[Message]) -> str:
    if messages[-1].role != "user" or not messages[-1].text.strip():
        raise Refused(400, "the last message has to be of the user, and to say something", "invalid_messages")
    return messages[-1].text


def _history(messages: Sequence[Message]) -> list[Exchange]:
    """What was asked, with what was answered to it; a question without an answer, or the other way round, is left out."""
    said = [message for message in messages if message.role in ("user", "assistant")]
    return [Exchange(one.text, two.text) for one, two in pairwise(said) if (one.role, two.role) == ("user", "assistant")]


def _completion(answer: Answer, head: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**head, "object": "chat.completion", "choices": [choice], **_beside(answer)}


async def _chunks(pieces: AsyncGenerator[str | Answer, None], head: dict[str, Any]) -> AsyncGenerator[str, None]:
    """The pieces as OpenAI has them; the last one with content says what the answer rests on."""

    def chunk(delta: dict[str, Any], finish: str | None = None, **beside: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "object": "chat.completion.chunk", "choices": [choice], **beside})

    opened = False
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Answer):
                yield chunk({}, "stop", **_beside(piece))
            else:
                yield chunk({"content": piece} if opened else {"role": "assistant", "content": piece})
                opened = True


def _beside(answer: Answer) -> dict[str, Any]:
    """What ragkit adds: `citations`, and under `ragkit` the final text and how it came about."""
    told = answer.to_dict()
    return {"citations": told["citations"], "ragkit": {name: told[name] for name in ("answer", "abstained", "uncited", "trace")}}


def _packed(vector: Sequence[float]) -> str:
    """Little-endian float32 in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
