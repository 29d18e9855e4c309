"""A Qdrant server for tests: its REST API as far as the plugin uses it, over qdrant-client's local mode, which has the semantics.

Every request and response is held against Qdrant's OpenAPI description where that is there (see `openapi`); `violations` has
what is not as it says. A `Fault` stands between a request and its answer.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

import numpy as np
from openapi import Contract, specs_folder
from pydantic import BaseModel, ValidationError
from qdrant_client import QdrantClient, models

from ragkit.stores import similarities

LARGEST_BODY = 32 * 2**20
"""As the server's default has it."""


@dataclass
class Fault:
    """What happens to the next `times` requests whose method and path have `only` in them, after `skip` of them.

    With a `status` they are answered with it. Without, the connection is cut: in the middle of the request, or after it was
    carried out (`applied`). With `silent_s` no answer comes for so long.
    """

    status: int | None = None
    only: str = ""
    times: int = 1
    skip: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    applied: bool = False
    silent_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """What a client sent; `body` is what its JSON says."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Any


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class QdrantServer:
    """Serves from `__enter__` to `__exit__`. With a `key`, requests need the header `api-key`."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.failures: list[str] = []
        folder = specs_folder()
        self.contract = Contract(folder / "qdrant" / "openapi.json") if folder is not None else None
        self._collections = Collections()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def violations(self) -> list[str]:
        """What did not keep to the API so far, and what this server failed at."""
        return [*self.failures, *(self.contract.violations if self.contract is not None else [])]

    def sent(self, method: str, end: str) -> list[Any]:
        """The bodies of the requests of that method whose path has that end."""
        return [request.body for request in self.requests if request.method == method and request.path.endswith(end)]

    def __enter__(self) -> Self:
        self._serving = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._serving.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._serving.join()
        self._http.server_close()
        self._collections.close()

    def fault(self, method: str, path: str) -> Fault | None:
        """What is to go wrong with this request."""
        with self._lock:
            for fault in self.faults:
                if fault.only not in f"{method} {path}":
                    continue
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault
            return None

    def wait(self, seconds: float) -> None:
        """Say nothing for so long, or until the server ends."""
        self._stopped.wait(seconds)

    def answer(self, request: Request, content: bytes) -> tuple[int, bytes]:
        """Carry out a request."""
        began = time.perf_counter()
        try:
            if self.key is not None and request.headers.get("api-key") != self.key:
                status = 403 if "api-key" in request.headers else 401
                raise Refused(status, "Invalid API key" if status == 403 else "Must provide an API key")
            if len(content) > LARGEST_BODY:
                raise Refused(413, "JSON payload is larger than allowed")
            with self._lock:
                result = self._collections.carry_out(request.method, request.path, request.body)
            said: dict[str, Any] = {"result": result, "status": "ok", "time": time.perf_counter() - began}
            status = 200
        except Refused as refused:
            status, said = refused.status, {"status": {"error": str(refused)}, "time": 0.0}
        except Exception as error:  # a mistake of this server must not be taken for one that is down
            self.failures.append(f"{request.method} {request.path}: {type(error).__name__}: {error}")
            status, said = 400, {"status": {"error": self.failures[-1]}, "time": 0.0}
        return status, json.dumps(said).encode()


class Collections:
    """What the API's requests do."""

    def __init__(self) -> None:
        self._client = QdrantClient(":memory:")
        self._made: dict[str, models.CreateCollection] = {}
        self._indexes: dict[str, dict[str, str]] = {}

    def close(self) -> None:
        self._client.close()

    def carry_out(self, method: str, path: str, body: Any) -> Any:
        """The `result` of a request, as JSON; raises `Refused`."""
        for pattern, routed, needs_collection, act in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match is None or routed != method:
                continue
            name = unquote(match[1])
            if needs_collection and name not in self._made:
                raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
            try:
                return act(self, name, body)
            except ValidationError as error:
                raise Refused(400, f"Format error in JSON body: {error.errors()[0]['msg']}") from error
            except ValueError as error:
                raise Refused(400, f"Wrong input: {error}") from error
        raise Refused(404, "Not found")

    def create(self, name: str, body: Any) -> Any:
        if name in self._made:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        asked = models.CreateCollection.model_validate(body)
        self._made[name], self._indexes[name] = asked, {}
        return self._client.create_collection(name, vectors_config=asked.vectors, metadata=asked.metadata)

    def delete(self, name: str, body: Any) -> Any:
        self._made.pop(name, None)
        return self._client.delete_collection(name)

    def update(self, name: str, body: Any) -> Any:
        return self._client.update_collection(name, metadata=models.UpdateCollection.model_validate(body).metadata)

    def info(self, name: str, body: Any) -> Any:
        said = _json(self._client.get_collection(name))
        made = _json(self._made[name])
        said["config"]["hnsw_config"] |= made.get("hnsw_config") or {}
        said["config"]["quantization_config"] = made.get("quantization_config")
        kinds = self._indexes[name].items()
        said["payload_schema"] = {place: {"data_type": kind, "points": said["points_count"]} for place, kind in kinds}
        return said

    def index(self, name: str, body: Any) -> Any:
        asked = models.CreateFieldIndex.model_validate(body)
        self._indexes[name][re.sub(r'"([\w-]+)"', r"\1", asked.field_name)] = str(_json(asked)["field_schema"])
        return {"operation_id": 1, "status": "completed"}

    def upsert(self, name: str, body: Any) -> Any:
        points = models.PointsList.model_validate(body).points
        held = self._made[name].vectors
        for point in points:
            if not isinstance(held, models.VectorParams):
                raise Refused(400, "Wrong input: Not existing vector name error: ")
            if len(point.vector) != held.size:  # type: ignore[arg-type]
                raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {held.size}, got {len(point.vector)}")  # type: ignore[arg-type]
        return _json(self._client.upsert(name, points=points))

    def erase(self, name: str, body: Any) -> Any:
        chosen = models.FilterSelector if "filter" in body else models.PointIdsList
        return _json(self._client.delete(name, points_selector=chosen.model_validate(body)))

    def query(self, name: str, body: Any) -> Any:
        asked = models.QueryRequest.model_validate(body)
        if not isinstance(asked.query, models.NearestQuery):
            raise Refused(400, "this test server knows queries by a vector alone")
        question: Any = asked.query.nearest
        answer = self._client.query_points(
            name,
            query=question,
            query_filter=asked.filter,
            limit=asked.limit if asked.limit is not None else 10,
            with_payload=asked.with_payload or False,
            with_vectors=True,
        )
        held, points = self._made[name].vectors, answer.points
        assert isinstance(held, models.VectorParams)
        for point, score in zip(points, _scores(held.distance, question, [one.vector for one in points]), strict=True):
            point.score = score
            point.vector = point.vector if asked.with_vector else None
        return _json(answer)

    def scroll(self, name: str, body: Any) -> Any:
        asked = models.ScrollRequest.model_validate(body)
        points, offset = self._client.scroll(
            name,
            scroll_filter=asked.filter,
            limit=asked.limit or 10,
            offset=asked.offset,
            with_payload=asked.with_payload if asked.with_payload is not None else True,
            with_vectors=asked.with_vector or False,
        )
        return {"points": [_json(point) for point in points], "next_page_offset": offset}

    def retrieve(self, name: str, body: Any) -> Any:
        asked = models.PointRequest.model_validate(body)
        payload = asked.with_payload if asked.with_payload is not None else True
        found = self._client.retrieve(name, ids=asked.ids, with_payload=payload, with_vectors=asked.with_vector or False)
        return [_json(point) for point in found]

    def count(self, name: str, body: Any) -> Any:
        asked = models.CountRequest.model_validate(body)
        return _json(self._client.count(name, count_filter=asked.filter, exact=True))


Act = Callable[[Collections, str, Any], Any]
_COLLECTION = "/collections/([^/]+)"
_ROUTES: tuple[tuple[str, str, bool, Act], ...] = (
    (_COLLECTION, "PUT", False, Collections.create),
    (_COLLECTION, "DELETE", False, Collections.delete),
    (_COLLECTION, "PATCH", True, Collections.update),
    (_COLLECTION, "GET", True, Collections.info),
    (f"{_COLLECTION}/index", "PUT", True, Collections.index),
    (f"{_COLLECTION}/points", "PUT", True, Collections.upsert),
    (f"{_COLLECTION}/points", "POST", True, Collections.retrieve),
    (f"{_COLLECTION}/points/delete", "POST", True, Collections.erase),
    (f"{_COLLECTION}/points/query", "POST", True, Collections.query),
    (f"{_COLLECTION}/points/scroll", "POST", True, Collections.scroll),
    (f"{_COLLECTION}/points/count", "POST", True, Collections.count),
)


def _scores(distance: models.Distance, query: Any, vectors: Any) -> list[float]:
    """The scores as a server has them: 32 bits, and the same every time; local mode's differ in their last digit."""
    if not vectors:
        return []
    metric = {models.Distance.COSINE: "cosine", models.Distance.DOT: "dot", models.Distance.EUCLID: "l2"}[distance]
    exact = similarities(metric, query, vectors)
    return [float(np.float32(np.sqrt(-score) if metric == "l2" else score)) for score in exact]


def _json(model: BaseModel) -> Any:
    return model.model_dump(mode="json", exclude_none=True)


def _handler(server: QdrantServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            path, _, query = self.path.partition("?")
            fault = server.fault(self.command, path)
            size = int(self.headers.get("content-length", 0))
            if fault is not None and fault.status is None and not fault.applied and not fault.silent_s:
                self.rfile.read(size // 2)
                self.cut()
                return
            content = self.rfile.read(size)
            headers = {name.lower(): value for name, value in self.headers.items()}
            if server.contract is not None:
                server.contract.request(self.command, path, query, headers, content)
            request = Request(self.command, path, query, headers, json.loads(content) if content else None)
            server.requests.append(request)
            if fault is not None and fault.silent_s:
                server.wait(fault.silent_s)
                self.cut()
            elif fault is not None and fault.status is not None:
                said = json.dumps({"status": {"error": "the server's words"}, "time": 0.0}).encode()
                self.say(path, fault.status, said, fault.headers)
            else:
                status, said = server.answer(request, content)
                if fault is not None:
                    self.cut()
                else:
                    self.say(path, status, said, {})

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

        def say(self, path: str, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            sent = {"Content-Type": "application/json", **headers}
            if server.contract is not None:
                server.contract.response(self.command, path, status, sent, content)
            self.send_response(status)
            for name, value in {**sent, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def cut(self) -> None:
            """Reset the connection, without any farewell."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def finish(self) -> None:
            with contextlib.suppress(OSError):  # it was cut
                super().finish()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
