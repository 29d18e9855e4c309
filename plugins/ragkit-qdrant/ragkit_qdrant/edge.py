"""Qdrant Edge, the real engine in the process, as a LlamaIndex store with ragkit's protocols."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import qdrant_edge as engine
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.vector_stores.types import BasePydanticVectorStore

from ragkit.errors import ComponentError
from ragkit.stores import Candidates
from ragkit_qdrant.methods import DISTANCES, Found, QdrantMethods
from ragkit_qdrant.places import index_paths, missing, oversampling
from ragkit_qdrant.records import LISTS, METADATA, path
from ragkit_qdrant.where import Where

if TYPE_CHECKING:
    from ragkit_qdrant import QdrantEdgeOptions

T = TypeVar("T")

TRUTHS = "truths"
"""The payload's list of its booleans, each as `path=True`: the binding takes True in a filter for the integer 1."""

_PAGE = 2_000
_UNINDEXED = 10_000
"""So many points, or half of what is there, may be without a graph; they are compared one by one."""


class QdrantEdgeStore(QdrantMethods, BasePydanticVectorStore):
    """A shard in a folder, made with the first vector. LlamaIndex has no integration of Qdrant Edge.

    The engine keeps a write-ahead log and does nothing by itself: `flush` writes all to disk, and builds HNSW graphs and clears
    away what was deleted once there is enough of it.
    """

    stores_text: bool = False

    _component: str = PrivateAttr(default="qdrant-edge")
    _exact: bool = PrivateAttr(default=False)
    _metric: str = PrivateAttr()
    _options: Any = PrivateAttr()
    _folder: Path = PrivateAttr()
    _shard: Any = PrivateAttr(default=None)
    _dimension: int | None = PrivateAttr(default=None)
    _changed: int = PrivateAttr(default=0)
    _written: bool = PrivateAttr(default=False)
    _lock: Any = PrivateAttr()

    def __init__(self, folder: Path, options: QdrantEdgeOptions) -> None:
        super().__init__(stores_text=options.store_text)
        self._options, self._metric = options, options.metric
        self._folder = folder / "shard"
        self._lock = threading.RLock()
        if self._folder.is_dir():
            self._load()

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.QdrantEdgeStore"

    @property
    def client(self) -> Any:
        """The `EdgeShard`; None before the first vector is written."""
        return self._shard

    # What ragkit asks for, beside what `QdrantMethods` has

    def count(self) -> int:
        return 0 if self._shard is None else int(self._call(lambda: self._shard.count(engine.CountRequest(exact=True))))

    def flush(self) -> None:
        """Write everything to disk; from time to time also rebuild the index, which takes a while."""
        with self._lock:
            if self._shard is None:
                return
            self._call(self._shard.flush)
            if self._changed > max(_UNINDEXED, self.count() // 2):
                self._optimize()

    def drop(self) -> None:
        """Remove everything; the store is empty afterwards."""
        with self._lock:
            self._written = False
            self.close()
            self._dimension = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the folder, with everything written; after many writes also build what is missing of the index."""
        with self._lock:
            if self._shard is None:
                return
            if self._written and self._changed > _UNINDEXED // 10:
                self._optimize()
            shard, self._shard = self._shard, None
            self._call(shard.close)

    # The requests

    def _held(self) -> int | None:
        return self._dimension

    def _search(self, vector: list[float], k: int, where: Where | None, *, payloads: bool, exact: bool) -> Candidates:
        options, rescored = self._options, None
        if options.quantization != "none":
            rescored = engine.QuantizationSearchParams(rescore=True, oversampling=oversampling(options.ef_search, k))
        request = engine.QueryRequest(
            limit=k,
            query=engine.Query.Nearest(vector),
            filter=_filter(where),
            params=engine.SearchParams(hnsw_ef=max(options.ef_search, k), exact=exact, quantization=rescored),
            with_payload=payloads,
        )
        points: Any = self._call(lambda: self._open.query(request))
        return self._found(points, payloads)

    def _scroll(self, where: Where | None, *, payloads: bool) -> Iterator[Found]:
        offset: Any = None
        while True:
            request = engine.ScrollRequest(offset=offset, limit=_PAGE, filter=_filter(where), with_payload=payloads)
            points, offset = self._call(partial(self._open.scroll, request))
            yield from (Found(str(point.id), point.payload) for point in points)
            if offset is None:
                return

    def _read(self, ids: list[str], *, payloads: bool = False, vectors: bool = False) -> list[Found]:
        if not ids or self._shard is None:
            return []
        points = self._call(lambda: self._open.retrieve(ids, payloads, vectors))
        return [Found(str(point.id), point.payload, point.vector) for point in points]

    def _write(self, dimension: int, points: list[Found]) -> None:
        with self._lock:
            if self._shard is None:
                self._make(dimension)
            written = [engine.Point(one.id, list(one.vector or ()), _with_truths(one.payload or {})) for one in points]
            self._call(lambda: self._open.update(engine.UpdateOperation.upsert_points(written)))
            self._changed += len(points)
            self._written = True

    def _erase(self, where: Where) -> None:
        with self._lock:
            ids = where["must"][0].get("has_id")
            if ids is not None:
                operation = engine.UpdateOperation.delete_points(ids)
            else:
                operation = engine.UpdateOperation.delete_points_by_filter(_filter(where))
            self._changed += self._call(lambda: self._open.count(engine.CountRequest(exact=True, filter=_filter(where))))
            self._call(lambda: self._open.update(operation))

    # The shard

    @property
    def _open(self) -> Any:
        if self._shard is None:
            raise ComponentError("qdrant-edge: the store is closed", component="qdrant-edge", cure="open it again")
        return self._shard

    def _load(self) -> None:
        shard: Any = self._call(lambda: engine.EdgeShard.load(str(self._folder)))
        info = shard.info()
        self._shard, self._changed = shard, info.points_count - info.indexed_vectors_count
        self._dimension = int(json.loads(self._description.read_text(encoding="utf-8"))["dimension"])
        self._index(info.payload_schema)

    def _make(self, dimension: int) -> None:
        """Make the shard in another place, so that a process that dies over it leaves none."""
        options = self._options
        config = engine.EdgeConfig(
            vectors=engine.EdgeVectorParams(dimension, getattr(engine.Distance, DISTANCES[options.metric])),
            hnsw_config=engine.HnswIndexConfig(options.m, options.ef_construct, 10_000),
            quantization_config=_quantization(options.quantization),
        )
        new = self._folder.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        self._call(lambda: engine.EdgeShard.create(str(new), config).close())
        self._description.write_text(json.dumps({"dimension": dimension}), encoding="utf-8")
        new.rename(self._folder)
        self._load()

    @property
    def _description(self) -> Path:
        return self._folder.with_suffix(".json")

    def _index(self, there: Mapping[str, Any]) -> None:
        indexes = [(place, kind) for place, kind in index_paths(self._options.payload_indexes) if kind != "bool"]
        if "bool" in self._options.payload_indexes.values():
            indexes.append((TRUTHS, "keyword"))
        for place, kind in missing(indexes, there):
            schema = getattr(engine.PayloadSchemaType, kind.title())
            self._call(partial(self._open.update, engine.UpdateOperation.create_field_index(place, schema)))

    def _optimize(self) -> None:
        """Build graphs and clear away what was deleted, where the engine finds that it pays: it rebuilds whole segments."""
        self._call(self._open.optimize)
        self._call(self._open.flush)
        self._changed = 0

    def _call(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ComponentError:
            raise
        except Exception as error:
            raise _meaning(error, self._folder) from error


def _meaning(error: Exception, folder: Path) -> ComponentError:
    """What the engine's exceptions, all of one class, say."""
    told, cure = str(error), "`ragkit views repair` builds it anew"
    if "WouldBlock" in told:
        told, cure = "another process has it open, and Qdrant Edge takes one, be it to read or to write", "end the other process"
    elif "No space left" in told:
        cure = "make room on the disk, then run again: what was written is kept"
    return ComponentError(f"qdrant-edge in {folder}: {told[:300]}", component="qdrant-edge", cure=cure)


def _with_truths(payload: Mapping[str, Any]) -> dict[str, Any]:
    truths = [
        f"{path(part, key)}={member}"
        for part in (METADATA, LISTS)
        for key, value in payload.get(part, {}).items()
        for member in (value if isinstance(value, list) else [value])
        if isinstance(member, bool)
    ]
    return {**payload, TRUTHS: truths} if truths else dict(payload)


def _quantization(kind: str) -> Any:
    match kind:
        case "scalar":
            return engine.ScalarQuantizationConfig(engine.ScalarType.Int8)
        case "binary":
            return engine.BinaryQuantizationConfig()
    return None


def _filter(where: Where | None) -> Any:
    """A filter as the binding's objects."""
    if where is None:
        return None
    clauses: dict[str, Any] = {
        clause: [_condition(part) for part in where[clause]] for clause in ("must", "should", "must_not") if clause in where
    }
    return engine.Filter(**clauses)


def _condition(where: Where) -> Any:
    if "has_id" in where:
        return engine.HasIdCondition(set(where["has_id"]))
    if "is_empty" in where:
        return engine.IsEmptyCondition(where["is_empty"]["key"])
    if "range" in where:
        return engine.FieldCondition(key=where["key"], range=engine.RangeFloat(**where["range"]))
    if "match" not in where:
        return _filter(where)
    match, place = where["match"], where["key"]
    if "any" in match:
        return engine.FieldCondition(key=place, match=engine.MatchAny(match["any"]))
    if isinstance(match["value"], bool):
        return engine.FieldCondition(key=TRUTHS, match=engine.MatchValue(f"{place}={match['value']}"))
    return engine.FieldCondition(key=place, match=engine.MatchValue(match["value"]))
