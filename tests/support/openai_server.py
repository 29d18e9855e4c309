"""A server of the tests that speaks OpenAI's chat completions, and misbehaves as it is told.

Every answer is validated by the models of the package `openai` before it is sent, but for the pieces of a streamed
completion: its model knows none that is not the last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_http import serving_http
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

Script = Callable[[Mapping[str, Any]], str]


@dataclass
class OpenAIServer:
    """`script` makes the answer of a request. `status` refuses it `failures` times, `stop_after` breaks a stream off there."""

    script: Script = lambda request: "It has 28 days [1]."
    key: str | None = None
    url: str = ""
    status: int = 0
    failures: int = 0
    message: str = "refused"
    stop_after: int | None = None
    silent_s: float = 0.0
    garbage: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def prompt(self) -> str:
        """What the last request asked."""
        last = self.requests[-1]
        return str(last["prompt"] if "prompt" in last else last["messages"][-1]["content"])


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append(request)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            time.sleep(server.silent_s)
            with suppress(BrokenPipeError, ConnectionResetError):
                if server.key is not None and self.headers["Authorization"] != f"Bearer {server.key}":
                    self._json(401, {"error": {"message": f"wrong key {self.headers['Authorization']}", "type": "auth"}})
                elif server.status and server.failures != 0:
                    server.failures -= 1
                    self._json(server.status, {"error": {"message": server.message, "type": "error"}})
                elif server.garbage:
                    self._send(200, b"<html>hello</html>", "text/html")
                elif self.path not in ("/v1/chat/completions", "/v1/completions"):
                    self._json(404, {"error": {"message": "no such path"}})
                else:
                    self._answer(request, chat=self.path.endswith("/chat/completions"))

        def _answer(self, request: Mapping[str, Any], *, chat: bool) -> None:
            text = server.script(request)
            if not request.get("stream"):
                self._send(200, _whole(request, text, chat=chat), "application/json")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            words = [*(f"{word} " for word in text.split()[:-1]), *text.split()[-1:], None]
            for number, word in enumerate(words):
                if number == server.stop_after:
                    break
                self.wfile.write(b"data: " + _piece(request, word, chat=chat) + b"\n\n")
                self.wfile.flush()
            else:
                self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _json(self, status: int, body: Any) -> None:
            self._send(status, json.dumps(body).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _whole(request: Mapping[str, Any], text: str, *, chat: bool) -> bytes:
    told = {"id": "1", "created": 1, "model": request["model"]}
    if chat:
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        body = {**told, "object": "chat.completion", "choices": [choice]}
        return ChatCompletion.model_validate(body).model_dump_json().encode()
    body = {**told, "object": "text_completion", "choices": [{"index": 0, "finish_reason": "stop", "text": text}]}
    return Completion.model_validate(body).model_dump_json().encode()


def _piece(request: Mapping[str, Any], word: str | None, *, chat: bool) -> bytes:
    """A piece of a stream; the one without a word says that the answer is complete."""
    told = {"id": "1", "created": 1, "model": request["model"]}
    end = "stop" if word is None else None
    if chat:
        delta = {} if word is None else {"role": "assistant", "content": word}
        body = {**told, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        return ChatCompletionChunk.model_validate(body).model_dump_json().encode()
    choice = {"index": 0, "text": word or "", "finish_reason": end}
    return json.dumps({**told, "object": "text_completion", "choices": [choice]}).encode()


@contextmanager
def openai_server(**options: Any) -> Iterator[OpenAIServer]:
    """A server that runs as long as the block."""
    server = OpenAIServer(**options)
    with serving_http(_handler(server)) as address:
        server.url = f"{address}/v1"
        yield server
