"""A site of the tests: an HTTP server on this machine whose pages are told in the test, and which counts what it sends."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Reply:
    """What is answered; `raw` writes to the connection itself, until the server is stopped."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Callable[[Any, threading.Event], None] | None = None


@dataclass(frozen=True)
class Seen:
    """A request that came, and what was answered."""

    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


Page = Reply | Callable[["Seen"], Reply] | list[Reply]


class Site:
    """Pages by path. A list is answered in order, its last one again and again; a function may look at the request."""

    def __init__(self, *, etags: bool = True) -> None:
        self.pages: dict[str, Page] = {}
        self.seen: list[Seen] = []
        self.etags = etags
        self.closing = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site._answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *arguments: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def page(self, path: str, title: str, text: str = "", links: Iterator[str] | list[str] | tuple[str, ...] = ()) -> None:
        """An article with links at its end."""
        self.pages[path] = Reply(article(title, text, links), headers={"Content-Type": HTML})

    def paths(self, *statuses: int) -> list[str]:
        """The paths that were asked for, without `robots.txt`; with statuses, those that were answered so."""
        return [one.path for one in self.seen if one.path != "/robots.txt" and (not statuses or one.status in statuses)]

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        found = self.pages.get(handler.path, Reply(status=404))
        headers = dict(handler.headers.items())
        if isinstance(found, list):
            reply = found.pop(0) if len(found) > 1 else found[0]
        elif callable(found):
            reply = found(Seen(handler.path, headers, 0, 0))
        else:
            reply = found
        etag = f'"{hashlib.sha256(reply.body).hexdigest()[:16]}"'
        if self.etags and reply.status == 200 and headers.get("If-None-Match") == etag:
            reply = Reply(status=304)
        self.seen.append(Seen(handler.path, headers, reply.status, len(reply.body)))
        if reply.raw is not None:
            handler.close_connection = True
            with suppress(OSError):
                reply.raw(handler.wfile, self.closing)
            return
        handler.send_response(reply.status)
        if self.etags and reply.status == 200:
            handler.send_header("ETag", etag)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.status != 304:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(reply.body)


@contextmanager
def site(**options: Any) -> Iterator[Site]:
    """A site that runs as long as the block."""
    running = Site(**options)
    try:
        yield running
    finally:
        running.stop()


def article(title: str, text: str = "", links: Any = ()) -> bytes:
    """A page with enough text to be one."""
    said = text or f"The river {title} is long. It has {len(title)} bridges and no island, and whoever crosses it pays a coin."
    listed = "".join(f'<li><a href="{link}">to {link}</a></li>' for link in links)
    return (
        f'<!doctype html><html lang="en"><head><title>{title}</title></head><body><nav><a href="#top">menu</a></nav>'
        f"<main><h1>{title}</h1><p>{said}</p></main><ul>{listed}</ul></body></html>"
    ).encode()


def redirect(to: str, status: int = 302) -> Reply:
    return Reply(status=status, headers={"Location": to})


def packed(body: bytes, **headers: str) -> Reply:
    return Reply(gzip.compress(body), headers={"Content-Type": HTML, "Content-Encoding": "gzip", **headers})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
