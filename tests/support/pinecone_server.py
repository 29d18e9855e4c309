"""A local server that behaves as Pinecone does: both planes over HTTP, with its rules, limits and delays, and faults on demand.

Its control plane and the data plane of each index listen on ports of their own, as Pinecone's have hosts of their own. Writes
become visible a few reads later, a new index is ready a few looks later, a count lags behind by one look. Every request and every
answer is held against the vendor's OpenAPI documents where those are at hand; what disagrees is in `violations`.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from openapi import Contract, specs_folder
from pinecone_data import Index, Refused

API_VERSION = "2025-10"
BODY_BYTES, URL_BYTES = 2 * 1024**2, 8 * 1024
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14}
_WORDS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION", 422: "UNPROCESSABLE_ENTITY", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
}  # fmt: skip


@dataclass
class Fault:
    """What happens to the next `times` requests whose path matches: a pause, and then an error or a broken connection.

    `cut` is `request` (nothing was done) or `answer` (it was done, and half of the answer arrives).
    """

    path: str = ".*"
    times: int = 1
    status: int | None = None
    message: str = "on demand"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: str | None = None
    pause_s: float = 0.0


class PineconeServer:
    """`with PineconeServer() as server`: its `host` and `api_key` are what a client needs.

    `lag` is how many reads a write stays unseen for, `creation_looks` how often a new index is still being made, `numbers`
    whether log sequence numbers are told.
    """

    def __init__(self, *, lag: int = 1, creation_looks: int = 1, numbers: bool = True) -> None:
        self.lag, self.creation_looks, self.numbers = lag, creation_looks, numbers
        self.api_key = "pcsk_for-tests-only"
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.indexes: dict[str, Index] = {}
        self.ports: dict[str, _Port] = {}
        self.regions = {("aws", "us-east-1"), ("gcp", "us-central1"), ("azure", "eastus2")}
        folder = specs_folder()
        specs = [folder / "pinecone" / f"db_{plane}_{API_VERSION}.oas.yaml" for plane in ("control", "data")] if folder else []
        self.contracts = [Contract(spec) for spec in specs if spec.is_file()]
        self.control_contract, self.data_contract = self.contracts if len(self.contracts) == 2 else (None, None)
        self._lock = threading.Lock()

    def __enter__(self) -> PineconeServer:
        self._port = _Port(self, self._answer, self.control_contract, "control")
        self.host = f"http://{self._port.netloc}"
        return self

    def __exit__(self, *exc: object) -> None:
        for port in self.ports.values():
            port.close()
        self._port.close()

    @property
    def violations(self) -> list[str]:
        """What went over the wire and is not as the vendor's documents say."""
        return [violation for contract in self.contracts for violation in contract.violations]

    def options(self, **more: Any) -> dict[str, Any]:
        """The YAML options of a store on this server."""
        return {"api_key": self.api_key, "host": self.host, "timeout": 10.0, "wait": 20.0, **more}

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """For a `with` block those faults."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def fault(self, path: str) -> Fault | None:
        """The fault that is due for a request."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def _answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, dict[str, str], Any]:
        with self._lock:
            if path == "/indexes":
                if method == "GET":
                    return 200, {}, {"indexes": [self._described(name) for name in self.indexes]}
                return 201, {}, self._create(body)
            index = self.indexes.get(path.removeprefix("/indexes/"))
            if index is None:
                raise Refused(404, f"Resource {path.removeprefix('/indexes/')} not found")
            if method == "PATCH":
                index.model.update({key: body[key] for key in ("deletion_protection",) if key in body})
                index.model["tags"] = {
                    key: value for key, value in {**index.model["tags"], **body.get("tags", {})}.items() if value
                }
                return 202, {}, self._described(index.model["name"])
            if method == "DELETE":
                if index.model["deletion_protection"] == "enabled":
                    raise Refused(403, "Deletion protection is enabled for this index. Disable it before retrying.")
                del self.indexes[index.model["name"]]
                self.ports.pop(index.model["name"]).close()
                return 202, {}, None
            return 200, {}, self._described(index.model["name"])

    def _create(self, body: Any) -> dict[str, Any]:
        if not _NAME.fullmatch(body["name"]):
            raise Refused(
                400, "Name must consist of lower case alphanumeric characters or '-', and start and end with the former"
            )
        serverless = body["spec"].get("serverless")
        if serverless is None or (serverless["cloud"], serverless["region"]) not in self.regions:
            raise Refused(404, f"Resource cloud: {serverless['cloud']} region: {serverless['region']} not found")
        if body["name"] in self.indexes:
            raise Refused(409, "Resource already exists")
        index = Index(body, lag=self.lag, creation_looks=self.creation_looks, numbers=self.numbers)
        self.ports[body["name"]] = _Port(self, index.answer, self.data_contract, "data")
        self.indexes[body["name"]] = index
        return self._described(body["name"])

    def _described(self, name: str) -> dict[str, Any]:
        return {**self.indexes[name].described(), "host": self.ports[name].netloc}


Answer = Callable[[str, str, Mapping[str, list[str]], Any], tuple[int, dict[str, str], Any]]


class _Port:
    """A server on a free port, with all its connections."""

    def __init__(self, owner: PineconeServer, answer: Answer, contract: Contract | None, plane: str) -> None:
        self.owner, self.answer, self.contract, self.plane = owner, answer, contract, plane
        self.connections: set[socket.socket] = set()
        self.closed = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"port": self}))
        self._server.daemon_threads = True
        self.netloc = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse new connections and end the ones that there are."""
        self.closed = True
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    port: _Port
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.port.connections.add(self.connection)

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.port.connections.discard(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url, port = urlsplit(self.path), self.port
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if port.closed:
            self.close_connection = True
            return
        port.owner.requests.append(f"{port.plane} {self.command} {url.path}")
        if port.contract is not None:
            port.contract.request(self.command, url.path, url.query, dict(self.headers), body)
        fault = port.owner.fault(url.path)
        if fault is not None and fault.pause_s:
            time.sleep(fault.pause_s)
        if fault is not None and fault.cut == "request":
            self.close_connection = True
            return
        if fault is not None and fault.status is not None:
            status, headers, answer = fault.status, dict(fault.headers), self._refusal(fault.status, fault.message)
        else:
            status, headers, answer = self._answer(url, body)
        self._send(status, headers, answer, half=fault is not None and fault.cut == "answer")

    do_POST = do_DELETE = do_PATCH = do_GET

    def _answer(self, url: Any, body: bytes) -> tuple[int, dict[str, str], Any]:
        try:
            if self.headers.get("Api-Key") != self.port.owner.api_key:
                raise Refused(401, "Invalid API Key")
            if self.headers.get("X-Pinecone-Api-Version") != API_VERSION:
                raise Refused(400, f"this server speaks {API_VERSION}")
            if len(body) > BODY_BYTES:
                raise Refused(400, f"message length too large: found {len(body)} bytes, the limit is: {BODY_BYTES} bytes")
            if len(self.path) > URL_BYTES:
                raise Refused(400, "the URL is too long")
            query = parse_qs(url.query, keep_blank_values=True)
            return self.port.answer(self.command, url.path, query, orjson.loads(body) if body else None)
        except Refused as refused:
            return refused.status, {}, self._refusal(refused.status, str(refused))

    def _refusal(self, status: int, message: str) -> Any:
        if self.port.plane == "control":
            return {"status": status, "error": {"code": _WORDS[status], "message": message}}
        return {"code": _CODES.get(status, 2), "message": message, "details": []}

    def _send(self, status: int, headers: dict[str, str], answer: Any, *, half: bool) -> None:
        content = orjson.dumps(answer) if answer is not None else b""
        headers = {**headers, **({"Content-Type": "application/json"} if content else {})}
        if self.port.contract is not None:
            self.port.contract.response(self.command, urlsplit(self.path).path, status, headers, content)
        with suppress(OSError):  # the client went away
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if half else content)
            self.wfile.flush()
        self.close_connection = half or self.close_connection
