"""What networks and gateways do to a server's clients: cut connections, fall silent, answer with a status of their own."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class CuttingProxy:
    """A TCP proxy in front of a server on 127.0.0.1, to be entered as a context; clients use `port`.

    After `cut(n)` it resets the connection when n more bytes have come from clients, so many `times`. With `silent` it reads
    what clients send, hands nothing on and answers nothing.
    """

    def __init__(self, target: int) -> None:
        self.silent = False
        self.cuts = 0
        self._target = target
        self._left: int | None = None
        self._after = self._times = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def cut(self, after: int, times: int = 1) -> None:
        """Reset the connection after so many bytes of requests, and again for each of `times`."""
        with self._lock:
            self._after, self._times, self._left = after, times, after if times else None

    def __enter__(self) -> Self:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for one in list(self._open):
            self._close(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open |= {client, server}
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(4096):
                if self._is_cut(len(data)):
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no farewell
                    break
                if not self.silent:
                    server.sendall(data)
        self._close(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        self._close(client, server)

    def _is_cut(self, size: int) -> bool:
        with self._lock:
            if self._left is None:
                return False
            self._left -= size
            if self._left > 0:
                return False
            self._times -= 1
            self._left = self._after if self._times > 0 else None
            self.cuts += 1
            return True

    def _close(self, *sockets: socket.socket) -> None:
        for one in sockets:
            self._open.discard(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@dataclass(frozen=True)
class Request:
    """What a client sent. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a gateway says instead of the server."""

    status: int
    body: bytes = b'{"error": "SomeError", "message": "the gateway\'s words"}'
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Gateway:
    """An HTTP gateway in front of a server on 127.0.0.1, to be entered as a context; clients use `port`.

    `rule` looks at each request and gives the answer to it, or None to let the server answer. `requests` has them all.
    """

    def __init__(self, target: int, rule: Callable[[Request], Answer | None] = lambda request: None) -> None:
        self.rule = rule
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, target))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._serving.join()
        self._server.server_close()


def _handler(gateway: Gateway, target: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            gateway.requests.append(request)
            answer = gateway.rule(request) or self.asked(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def asked(self, request: Request) -> Answer:
            connection = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
            with contextlib.closing(connection):
                passed = {name: value for name, value in request.headers.items() if name not in ("host", "accept-encoding")}
                connection.request(request.method, request.path, request.body, passed)
                response = connection.getresponse()
                kept = {"Content-Type": response.headers.get("Content-Type", "application/json")}
                return Answer(response.status, response.read(), kept)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
