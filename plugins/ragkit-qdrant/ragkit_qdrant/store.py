"""LlamaIndex's `QdrantVectorStore` with ragkit's protocols: on a server, or in a folder through its client's local mode."""

from __future__ import annotations

import json
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from ragkit.errors import ComponentError
from ragkit.stores import Candidates, insist, similarities
from ragkit_qdrant.faults import address_of, judge, local_error, require_name
from ragkit_qdrant.local import delete_collection, one_transaction
from ragkit_qdrant.methods import DISTANCES, Found, QdrantMethods
from ragkit_qdrant.places import index_paths, missing, oversampling, quantization
from ragkit_qdrant.where import Where

if TYPE_CHECKING:
    from ragkit_qdrant import QdrantOptions

T = TypeVar("T")

_MARK = "ragkit"
"""The key of the mark in the collection's own metadata."""
_PAGE = 2_000


class QdrantStore(QdrantMethods, QdrantVectorStore):  # type: ignore[misc]  # its signatures are not those of LlamaIndex's base
    """A collection of unnamed vectors. It is made with the first vector, as only that tells their dimension.

    Before that, a mark makes a collection without vectors. Calls of a server are repeated while that may help, each within
    `timeout`; local mode takes one thread at a time.
    """

    stores_text: bool = False

    _component: str = PrivateAttr(default="qdrant")
    _metric: str = PrivateAttr()
    _exact: bool = PrivateAttr()
    _options: Any = PrivateAttr()
    _address: str = PrivateAttr()
    _lock: Any = PrivateAttr()
    _end: Any = PrivateAttr()
    _dimension: int | None = PrivateAttr(default=None)
    _ready: bool = PrivateAttr(default=False)
    _marks: bool = PrivateAttr(default=False)

    def __init__(self, client: QdrantClient, collection: str, options: QdrantOptions, address: str) -> None:
        super().__init__(collection_name=collection, client=client)
        self.stores_text = options.store_text
        self._options, self._metric, self._exact = options, options.metric, options.url is None
        self._address = address
        self._lock = threading.RLock()
        self._end = weakref.finalize(self, client.close)

    @classmethod
    def open(cls, folder: Path, collection: str, options: QdrantOptions) -> QdrantStore:
        """Open the folder, or point to the server, which is first asked when it is needed."""
        if options.url is None:
            require_name(collection, str(folder))
            try:
                client = QdrantClient(path=str(folder))
            except Exception as error:
                raise local_error(error, str(folder)) or error from error
            return cls(client, collection, options, str(folder))
        address = address_of(options.url)
        require_name(collection, address)
        with warnings.catch_warnings():
            # It warns of every key over http, also to this machine; the README says it once.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            client = QdrantClient(
                url=options.url,
                api_key=options.api_key.get_secret_value() if options.api_key else None,
                prefer_grpc=options.prefer_grpc,
                grpc_port=options.grpc_port,
                timeout=options.timeout,
                check_compatibility=False,
            )
        return cls(client, collection, options, address)

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.QdrantStore"

    # What ragkit asks for, beside what `QdrantMethods` has

    def count(self) -> int:
        """How many chunks there are; of a collection that is gone, 0."""
        try:
            return self._call(lambda: int(self._client.count(self.collection_name, exact=True).count))
        except ComponentError as error:
            if _is_missing(error.__cause__):
                return 0
            raise

    def drop(self) -> None:
        """Remove the collection, if it is there; the store is not usable afterwards."""
        self._delete()
        self._dimension, self._ready, self._marks = None, False, False

    def marker(self) -> Mapping[str, str] | None:
        info = self._look()
        mark = ((info.config.metadata if info is not None else None) or {}).get(_MARK)
        return None if mark is None else dict(json.loads(mark))

    def mark(self, values: Mapping[str, str]) -> None:
        metadata = {_MARK: json.dumps(dict(values))}
        if self._look() is None:
            self._create(None, metadata)
        else:
            self._call(lambda: self._client.update_collection(self.collection_name, metadata=metadata))
        if not self._marks and self.marker() != values:
            told = f"qdrant at {self._address} keeps no metadata with a collection, so ragkit cannot mark it as its own"
            raise ComponentError(told, component="qdrant", cure="Qdrant 1.16 or newer is needed")
        self._marks = True

    def close(self) -> None:
        """Let go of the connections, or of the folder."""
        with self._lock:
            self._end()

    # The requests

    def _held(self) -> int | None:
        if self._dimension is None:
            self._look()
        return self._dimension

    def _search(self, vector: list[float], k: int, where: Where | None, *, payloads: bool, exact: bool) -> Candidates:
        params = None
        if not self._exact:
            options, rescored = self._options, None
            if options.quantization != "none":
                rescored = models.QuantizationSearchParams(rescore=True, oversampling=oversampling(options.ef_search, k))
            params = models.SearchParams(hnsw_ef=max(options.ef_search, k), exact=exact or None, quantization=rescored)
        answer = self._call(
            lambda: self._client.query_points(
                self.collection_name,
                query=vector,
                limit=k,
                query_filter=_filter(where),
                search_params=params,
                with_payload=payloads,
                with_vectors=self._exact,
            )
        )
        found = self._found(answer.points, payloads)
        if not self._exact or not answer.points:
            return found
        # Local mode's scores differ in their last digit from one search to the next, and equal hits with them.
        exactly = similarities(self._metric, vector, [point.vector for point in answer.points])
        return replace(found, scores=[round(score, 9) for score in exactly])

    def _scroll(self, where: Where | None, *, payloads: bool) -> Iterator[Found]:
        offset: Any = None
        while True:
            points, offset = self._call(self._page, where, payloads, offset)
            yield from (Found(str(point.id), point.payload) for point in points)
            if offset is None:
                return

    def _page(self, where: Where | None, payloads: bool, offset: Any) -> Any:
        return self._client.scroll(
            self.collection_name, scroll_filter=_filter(where), limit=_PAGE, offset=offset, with_payload=payloads
        )

    def _read(self, ids: list[str], *, payloads: bool = False, vectors: bool = False) -> list[Found]:
        if not ids or self._held() is None:
            return []
        points = self._call(
            lambda: self._client.retrieve(self.collection_name, ids=ids, with_payload=payloads, with_vectors=vectors)
        )
        return [Found(str(point.id), point.payload, point.vector) for point in points]  # type: ignore[arg-type]  # unnamed

    def _write(self, dimension: int, points: list[Found]) -> None:
        if not self._ready:
            self._make(dimension)
            self._ready = True
        structs = [
            models.PointStruct(id=one.id, vector=list(one.vector or ()), payload=dict(one.payload or {})) for one in points
        ]
        self._change(lambda: self._client.upsert(self.collection_name, points=structs, wait=True))

    def _erase(self, where: Where) -> None:
        selector = models.FilterSelector(filter=models.Filter.model_validate(where))
        self._change(lambda: self._client.delete(self.collection_name, points_selector=selector, wait=True))

    def _change(self, write: Callable[[], object]) -> None:
        def change() -> None:
            with one_transaction(self._client, self.collection_name) if self._exact else nullcontext():
                write()

        self._call(change)

    # The collection

    def _look(self) -> Any:
        """What the server says of the collection, None where there is none. Raises where it is none of ragkit's kind."""
        try:
            info = self._call(lambda: self._client.get_collection(self.collection_name))
        except ComponentError as error:
            if _is_missing(error.__cause__):
                return None
            raise
        params = info.config.params.vectors
        if isinstance(params, models.VectorParams) and params.distance.value == DISTANCES[self._metric]:
            self._dimension = params.size
        elif params:
            told = f"the collection {self.collection_name} at {self._address} does not hold plain vectors under {self._metric!r}"
            raise ComponentError(f"qdrant: {told}", component="qdrant", cure="it was not made by ragkit: move it away")
        return info

    def _make(self, dimension: int) -> None:
        """Make what is missing: the collection for vectors of `dimension`, the indexes of its payloads."""
        info = self._look()
        if self._dimension is None:
            if info is not None:  # a mark alone: a collection's vectors cannot be added later
                self._delete()
            vectors = models.VectorParams(size=dimension, distance=models.Distance(DISTANCES[self._metric]))
            self._create(vectors, (info.config.metadata if info is not None else None) or {})
            self._dimension = dimension
        if self._exact:
            return  # local mode has no indexes
        there = (info.payload_schema if info is not None else None) or {}
        for place, kind in missing(index_paths(self._options.payload_indexes), there):
            self._call(self._client.create_payload_index, self.collection_name, place, kind)

    def _delete(self) -> None:
        self._call(delete_collection, self._client, self.collection_name)

    def _create(self, vectors: Any, metadata: Mapping[str, Any]) -> None:
        options = self._options
        given: dict[str, Any] = {}
        if not self._exact:
            given = {
                "hnsw_config": models.HnswConfigDiff(m=options.m, ef_construct=options.ef_construct),
                "quantization_config": quantization(options.quantization),
                "shard_number": options.shards,
                "replication_factor": options.replication_factor,
            }
        self._call(
            lambda: self._client.create_collection(
                self.collection_name, vectors_config=vectors or {}, metadata=dict(metadata) or None, **given
            )
        )

    def _collection_exists(self, collection_name: str) -> bool:
        """LlamaIndex's constructor asks; the answer would come before faults of the server are understood."""
        return False

    def _call(self, ask: Callable[..., T], *given: Any) -> T:
        """One request: to a server again and again while that may help, to a folder by one thread at a time."""
        if not self._exact:
            timeout_s = float(self._options.timeout)
            return insist(lambda: ask(*given), lambda error: judge(error, self._address, timeout_s), patience_s=timeout_s)
        with self._lock:
            try:
                return ask(*given)
            except Exception as error:
                raise local_error(error, self._address) or error from error


def _filter(where: Where | None) -> models.Filter | None:
    return None if where is None else models.Filter.model_validate(where)


def _is_missing(error: BaseException | None) -> bool:
    """Whether the collection is not there, as a server, local mode or gRPC says it."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404
    code = getattr(error, "code", None)
    if callable(code):
        return getattr(code(), "name", "") == "NOT_FOUND"
    return isinstance(error, ValueError) and "not found" in str(error)
