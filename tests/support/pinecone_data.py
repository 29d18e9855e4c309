"""What Pinecone's data plane does, for `pinecone_server`: records, filters, limits, and writes that are seen later."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np
import orjson

ANSWER_BYTES, METADATA_BYTES = 4 * 1024**2, 40 * 1024
_ON_DEMAND = {"mode": "OnDemand", "status": {"state": "Ready"}}


class Refused(Exception):
    """An answer that is not 2xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Namespace:
    """Records, and the writes that no reader sees yet."""

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self.records: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.lsn = self.indexed = 0
        self.shown = 0
        self._reads = 0
        self._log: deque[tuple[int, int, Callable[[dict[str, Any]], None]]] = deque()
        self._matrix: tuple[list[str], Any] | None = None

    def write(self, change: Callable[[dict[str, Any]], None]) -> int:
        self.lsn += 1
        self._log.append((self.lsn, self._reads + self.lag, change))
        return self.lsn

    def read(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        self._reads += 1
        while self._log and self._log[0][1] < self._reads:
            self.indexed, _, change = self._log.popleft()
            change(self.records)
            self._matrix = None
        return self.records

    def matrix(self) -> tuple[list[str], Any]:
        if self._matrix is None:
            vectors = np.array([vector for vector, _ in self.records.values()], dtype=np.float32)
            self._matrix = list(self.records), vectors
        return self._matrix

    def count(self) -> int:
        before, self.shown = self.shown, len(self.read())
        return before if self.lag else self.shown

    @property
    def empty(self) -> bool:
        return not self.records and not self._log


class Index:
    """What an index holds and answers; `answer` takes one request of its data plane."""

    def __init__(self, body: Mapping[str, Any], *, lag: int, creation_looks: int, numbers: bool) -> None:
        self.lag, self.looks, self.numbers = lag, creation_looks, numbers
        self.model = {
            "name": body["name"], "dimension": body["dimension"], "metric": body.get("metric", "cosine"),
            "vector_type": "dense", "deletion_protection": body.get("deletion_protection", "disabled"),
            "tags": {key: value for key, value in body.get("tags", {}).items() if value},
            "spec": {"serverless": {**body["spec"]["serverless"], "read_capacity": _ON_DEMAND}},
        }  # fmt: skip
        self.state = "Initializing"
        self.namespaces: dict[str, Namespace] = {}
        self.lock = threading.RLock()
        self.random = np.random.default_rng()

    def described(self) -> dict[str, Any]:
        if self.looks <= 0 and self.state == "Initializing":
            self.state = "Ready"
        self.looks -= 1
        return {**self.model, "status": {"ready": self.state == "Ready", "state": self.state}}

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> tuple[int, dict[str, str], Any]:
        if self.state != "Ready":
            raise Refused(503, "the index is not ready")
        with self.lock:
            name = {"/vectors/upsert": "upsert", "/vectors/delete": "delete", "/vectors/update": "update", "/query": "query",
                    "/vectors/fetch": "fetch", "/vectors/fetch_by_metadata": "fetch_by_metadata", "/vectors/list": "list",
                    "/describe_index_stats": "stats", "/namespaces": "namespaces"}.get(path)  # fmt: skip
            if name is not None:
                headers, answer = getattr(self, f"_{name}")(body if method == "POST" else query)
            elif path.startswith("/namespaces/"):
                headers, answer = self._namespace(method, unquote(path.removeprefix("/namespaces/")))
            else:
                raise Refused(404, "no such path")
        return 200, headers, answer

    # Writes

    def _upsert(self, body: Any) -> Any:
        vectors = body["vectors"]
        if not 1 <= len(vectors) <= 1_000:
            raise Refused(400, f"Cannot upsert {len(vectors)} vectors: at most 1000 are allowed")
        made = {vector["id"]: (self._vector(vector["values"], vector["id"]), self._metadata(vector)) for vector in vectors}
        return self._wrote(body, lambda records: records.update(made)), {"upsertedCount": len(vectors)}

    def _delete(self, body: Any) -> Any:
        if sum(bool(body.get(key)) for key in ("ids", "deleteAll", "filter")) != 1:
            raise Refused(400, "one of ids, deleteAll and filter is needed")
        if body.get("namespace", "") not in self.namespaces:
            raise Refused(404, "Namespace not found")
        if len(body.get("ids", ())) > 1_000:
            raise Refused(400, "Too many ids: at most 1000 are allowed")
        passes = _passes(body["filter"]) if "filter" in body else None

        def remove(records: dict[str, Any]) -> None:
            for id_ in body.get("ids") or [id_ for id_, (_, metadata) in records.items() if passes is None or passes(metadata)]:
                records.pop(id_, None)

        return self._wrote(body, remove), {}

    def _update(self, body: Any) -> Any:
        values = self._vector(body["values"], body["id"]) if "values" in body else None

        def update(records: dict[str, Any]) -> None:
            if body["id"] in records:
                vector, metadata = records[body["id"]]
                records[body["id"]] = (vector if values is None else values, {**metadata, **body.get("setMetadata", {})})

        return self._wrote(body, update), {}

    def _wrote(self, body: Any, change: Callable[[dict[str, Any]], None]) -> dict[str, str]:
        space = self.namespaces.setdefault(body.get("namespace", ""), Namespace(self.lag))
        number = space.write(change)
        return {"x-pinecone-request-lsn": str(number)} if self.numbers else {}

    def _vector(self, values: list[float], id_: str) -> Any:
        if not 1 <= len(id_) <= 512 or not id_.isascii():
            raise Refused(400, f"Vector ID {id_!r} must be ASCII of 1 to 512 characters")
        if len(values) != self.model["dimension"]:
            raise Refused(
                400, f"Vector dimension {len(values)} does not match the dimension of the index {self.model['dimension']}"
            )
        if not any(values):
            raise Refused(400, f"Dense vectors must contain at least one non-zero value. Vector ID '{id_}' contains only zeros")
        return np.array(values, dtype=np.float32)

    def _metadata(self, vector: Any) -> dict[str, Any]:
        metadata: dict[str, Any] = vector.get("metadata") or {}
        size = len(orjson.dumps(metadata))
        if size > METADATA_BYTES:
            raise Refused(400, f"Metadata size is {size} bytes, which exceeds the limit of {METADATA_BYTES} bytes per vector")
        for key, value in metadata.items():
            texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
            if not key or key.startswith("$") or not (texts or isinstance(value, str | int | float)):
                raise Refused(
                    400, f"Metadata value must be a string, number, boolean or list of strings, not {value!r} for '{key}'"
                )
        numbers = {key: float(value) for key, value in metadata.items() if isinstance(value, int) and not isinstance(value, bool)}
        return {**metadata, **numbers}

    # Reads

    def _read(self, name: str) -> tuple[dict[str, str], Namespace]:
        space = self.namespaces.get(name)
        if space is None:
            return {}, Namespace(0)
        space.read()
        if space.empty:  # with its last record a namespace is gone, and so is its numbering
            del self.namespaces[name]
            return {}, space
        return ({"x-pinecone-max-indexed-lsn": str(space.indexed)} if self.numbers else {}), space

    def _query(self, body: Any) -> Any:
        if not 1 <= body["topK"] <= 10_000:
            raise Refused(400, f"top_k {body['topK']} is not between 1 and 10000")
        if len(body["vector"]) != self.model["dimension"]:
            raise Refused(400, f"Vector dimension {len(body['vector'])} does not match the index's {self.model['dimension']}")
        headers, space = self._read(body.get("namespace", ""))
        ids, matrix = space.matrix()
        passes = _passes(body["filter"]) if "filter" in body else None
        if passes is not None and ids:
            rows = [row for row, id_ in enumerate(ids) if passes(space.records[id_][1])]
            ids, matrix = [ids[row] for row in rows], matrix[rows]
        scores = self._scores(np.array(body["vector"], dtype=np.float32), matrix) if ids else np.zeros(0)
        order = np.lexsort((self.random.random(len(ids)), scores if self.model["metric"] == "euclidean" else -scores))
        matches = []
        for row in order[: body["topK"]]:
            match = {"id": ids[row], "score": float(scores[row]), "values": []}
            if body.get("includeValues"):
                match["values"] = space.records[ids[row]][0].tolist()
            if body.get("includeMetadata"):
                match["metadata"] = space.records[ids[row]][1]
            matches.append(match)
        answer = {"matches": matches, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}}
        if len(orjson.dumps(answer)) > ANSWER_BYTES:
            raise Refused(400, "the result is larger than 4 MB: ask for a lower top_k, or for no metadata")
        return headers, answer

    def _scores(self, vector: Any, matrix: Any) -> Any:
        if self.model["metric"] == "euclidean":
            return ((matrix - vector) ** 2).sum(axis=1)
        products = matrix @ vector
        if self.model["metric"] == "cosine":
            products = products / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector))
        return products

    def _fetch(self, query: Mapping[str, list[str]]) -> Any:
        if len(query.get("ids", ())) > 1_000:
            raise Refused(400, "Too many ids: at most 1000 are allowed")
        name = _one(query, "namespace", "")
        headers, space = self._read(name)
        found = {id_: _record(space, id_) for id_ in query["ids"] if id_ in space.records}
        return headers, {"vectors": found, "namespace": name, "usage": {"readUnits": 1}}

    def _fetch_by_metadata(self, body: Any) -> Any:
        headers, space = self._read(body.get("namespace", ""))
        passes = _passes(body["filter"])
        page, following = _page([id_ for id_, (_, metadata) in space.records.items() if passes(metadata)], body)
        found = {id_: _record(space, id_) for id_ in page}
        return headers, {"vectors": found, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}, **following}

    def _list(self, query: Mapping[str, list[str]]) -> Any:
        name = _one(query, "namespace", "")
        headers, space = self._read(name)
        prefix = _one(query, "prefix", "")
        page, following = _page([id_ for id_ in space.records if id_.startswith(prefix)], {key: query[key][0] for key in query})
        return headers, {"vectors": [{"id": id_} for id_ in page], "namespace": name, "usage": {"readUnits": 1}, **following}

    def _stats(self, body: Any) -> Any:
        if body.get("filter"):
            raise Refused(400, "Serverless indexes do not support describing index stats with metadata filtering")
        counts = {name: {"vectorCount": space.count()} for name, space in self.namespaces.items()}
        total = sum(count["vectorCount"] for count in counts.values())
        return {}, {"namespaces": counts, "dimension": self.model["dimension"], "indexFullness": 0, "totalVectorCount": total}

    def _namespaces(self, query: Any) -> Any:
        listed = [{"name": name, "record_count": space.count()} for name, space in sorted(self.namespaces.items())]
        return {}, {"namespaces": listed, "total_count": len(listed)}

    def _namespace(self, method: str, name: str) -> Any:
        space = self.namespaces.get(name)
        if space is None:
            raise Refused(404, "Namespace not found")
        if method == "DELETE":
            del self.namespaces[name]
            return {}, {}
        return {}, {"name": name, "record_count": space.count()}


def _passes(where: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """Pinecone's filters: of a missing field only `$exists: false` holds; of a list `$eq` holds if one member has it."""
    if not where:
        raise Refused(400, "an empty filter")
    tests = [_test(key, part) for key, part in where.items()]
    return lambda metadata: all(test(metadata) for test in tests)


def _test(key: str, part: Any) -> Callable[[Mapping[str, Any]], bool]:
    if key in ("$and", "$or"):
        if not isinstance(part, list) or not part:
            raise Refused(400, f"{key} takes a list of filters")
        parts = [_passes(one) for one in part]
        return lambda metadata: (all if key == "$and" else any)(passes(metadata) for passes in parts)
    if key.startswith("$"):
        raise Refused(400, f"{key} cannot stand here")
    asked = part if isinstance(part, dict) else {"$eq": part}
    tests = [_comparison(key, operator, want) for operator, want in asked.items()]
    return lambda metadata: all(test(metadata) for test in tests)


def _comparison(key: str, operator: str, want: Any) -> Callable[[Mapping[str, Any]], bool]:
    number = isinstance(want, int | float) and not isinstance(want, bool)
    single = isinstance(want, str | bool) or number
    listed = isinstance(want, list) and bool(want) and all(type(one) in (str, int, float) for one in want)
    fits = {
        "$exists": isinstance(want, bool), "$eq": single, "$ne": single, "$in": listed, "$nin": listed,
        "$gt": number, "$gte": number, "$lt": number, "$lte": number,
    }  # fmt: skip
    if not fits.get(operator):
        raise Refused(400, f"{operator} does not take {want!r}")
    wanted = [(_kind(one), one) for one in (want if isinstance(want, list) else [want])]

    def holds(metadata: Mapping[str, Any]) -> bool:
        if operator == "$exists":
            return (key in metadata) is want
        if key not in metadata:
            return False
        have = [(_kind(one), one) for one in (metadata[key] if isinstance(metadata[key], list) else [metadata[key]])]
        if operator in ("$eq", "$in", "$ne", "$nin"):
            return any(one in wanted for one in have) is (operator in ("$eq", "$in"))
        compare = {"$gt": np.greater, "$gte": np.greater_equal, "$lt": np.less, "$lte": np.less_equal}[operator]
        return any(kind == "number" and bool(compare(one, want)) for kind, one in have)

    return holds


def _kind(value: Any) -> str:
    return "text" if isinstance(value, str) else "truth" if isinstance(value, bool) else "number"


def _record(space: Namespace, id_: str) -> dict[str, Any]:
    vector, metadata = space.records[id_]
    return {"id": id_, "values": vector.tolist(), "metadata": metadata}


def _one(query: Mapping[str, list[str]], key: str, default: str) -> str:
    return query.get(key, [default])[0]


def _page(ids: list[str], query: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    limit = int(query.get("limit", 100))
    if not 1 <= limit <= 100:
        raise Refused(400, "limit must be between 1 and 100")
    after = base64.b64decode(query.get("paginationToken", "")).decode()
    rest = sorted(id_ for id_ in ids if id_ > after)
    token = base64.b64encode(rest[limit - 1].encode()).decode() if len(rest) > limit else None
    return rest[:limit], {"pagination": {"next": token}} if token else {}
