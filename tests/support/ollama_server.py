"""A server of the tests that speaks Ollama's chat; every answer is validated by the package `ollama` before it is sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_http import serving_http
from ollama import ChatResponse


@dataclass
class OllamaServer:
    """Says `text`. `status` refuses, `stop_after` breaks a stream off after so many pieces."""

    text: str = "It has 28 days [1]."
    url: str = ""
    status: int = 0
    stop_after: int | None = None
    silent_s: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def _handler(server: OllamaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append({"path": self.path, **request})
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            time.sleep(server.silent_s)
            with suppress(BrokenPipeError, ConnectionResetError):
                if server.status:
                    self._send(server.status, json.dumps({"error": f"model '{request['model']}' not found"}).encode())
                elif request.get("stream"):
                    self._stream(request["model"])
                else:
                    self._send(200, _piece(request["model"], server.text, done=True))

        def _stream(self, model: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.end_headers()
            for number, word in enumerate([*(f"{word} " for word in server.text.split()), ""]):
                if number == server.stop_after:
                    return
                self.wfile.write(_piece(model, word, done=not word) + b"\n")
                self.wfile.flush()

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


def _piece(model: str, content: str, *, done: bool) -> bytes:
    message = {"role": "assistant", "content": content}
    body = {"model": model, "created_at": "2024-05-01T10:00:00Z", "message": message, "done": done}
    return ChatResponse.model_validate(body).model_dump_json(exclude_none=True).encode()


@contextmanager
def ollama_server(**options: Any) -> Iterator[OllamaServer]:
    """A server that runs as long as the block."""
    server = OllamaServer(**options)
    with serving_http(_handler(server)) as address:
        server.url = address
        yield server
