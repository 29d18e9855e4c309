"""Exact stores in memory that implement every optional protocol; small, slow on large collections, easy to read."""

from __future__ import annotations

import json
import math
import re
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import mul
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matches
from ragkit.words import PlainTerms, plain_terms

Record = dict[str, Any]

# Thai, kana, Han: CJK Unified Ideographs with extension A
_UNSPACED = re.compile("([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+)")


class MemoryStore(BasePydanticVectorStore):
    """What both stores share. Writes are visible at once; `flush` keeps them in `folder`, where others find them.

    Without a folder everything is gone with the object. A change that another object or process has flushed is read at the
    next call, unless this one has writes of its own that are not flushed.
    """

    stores_text: bool = False

    _path: Path | None = PrivateAttr()
    _records: dict[str, Record] = PrivateAttr(default_factory=dict)
    _mark: dict[str, str] | None = PrivateAttr(default=None)
    _stamp: tuple[int, int] | None = PrivateAttr(default=None)
    _dirty: bool = PrivateAttr(default=False)
    _lock: Any = PrivateAttr(default_factory=threading.RLock)

    def __init__(self, folder: Path | None, **kwargs: Any) -> None:
        super().__init__(**{"stores_text": False, **kwargs})
        self._path = None if folder is None else folder / "memory.json"

    @property
    def client(self) -> Any:
        return self._load()

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        with self._lock:
            new = {node.node_id: self._record(node) for node in nodes}
            self._records = {**self._load(), **new}
            self._dirty = True

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        self.upsert(nodes)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        self.delete_nodes([id_ for id_, record in self._load().items() if record["document"] == ref_doc_id])

    def delete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        with self._lock:
            records = self._load()
            chosen = records if node_ids is None and filters is not None else node_ids or ()
            gone = {id_ for id_ in chosen if id_ in records and matches(filters, records[id_]["metadata"])}
            self._records = {id_: record for id_, record in records.items() if id_ not in gone}
            self._dirty = True

    def clear(self) -> None:
        self.delete_nodes(list(self._load()))

    def ids(self) -> Iterator[str]:
        return iter(sorted(self._load()))

    def count(self) -> int:
        return len(self._load())

    def flush(self) -> None:
        with self._lock:
            if self._path is not None and self._dirty:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                temporary = self._path.with_suffix(".tmp")
                temporary.write_text(json.dumps({"mark": self._mark, "records": self._records}), "utf-8")
                temporary.replace(self._path)
                self._stamp = _stamp(self._path)
            self._dirty = False

    def drop(self) -> None:
        with self._lock:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
            self._records, self._mark, self._stamp, self._dirty = {}, None, None, False

    def marker(self) -> Mapping[str, str] | None:
        self._load()
        return self._mark

    def mark(self, values: Mapping[str, str]) -> None:
        with self._lock:
            self._load()
            self._mark, self._dirty = dict(values), True
            self.flush()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        ids, scores = self.search_ids(query)
        return VectorStoreQueryResult(ids=ids, similarities=scores)

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The best chunks among those that pass the query's filters; ties in the order of the ids."""
        records = self._load()
        allowed = {id_: record for id_, record in sorted(records.items()) if _passes(id_, record, query)}
        scores = self._scores(query, allowed, records)
        best = sorted(scores, key=lambda id_: -scores[id_])[: query.similarity_top_k]
        return best, [scores[id_] for id_ in best]

    @abstractmethod
    def _scores(self, query: VectorStoreQuery, allowed: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, float]:
        """The score of each hit among `allowed`; `records` is everything there is."""

    def _record(self, node: BaseNode) -> Record:
        metadata = {key: value for key, value in node.metadata.items() if value is not None}
        return {"document": node.ref_doc_id, "metadata": metadata}

    def _load(self) -> dict[str, Record]:
        with self._lock:
            stamp = None if self._path is None else _stamp(self._path)
            if not self._dirty and stamp != self._stamp:
                state = {"mark": None, "records": {}} if stamp is None or self._path is None else _read(self._path)
                self._mark, self._records, self._stamp = state["mark"], state["records"], stamp
            return self._records


class MemoryVectorStore(MemoryStore):
    """Exact nearest neighbours. `metric` is `cosine`, `dot`, or `l2`, whose similarity is minus the squared distance."""

    metric: str = "cosine"

    def __init__(self, folder: Path | None = None, *, metric: str = "cosine") -> None:
        super().__init__(folder, metric=metric)

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        records = self._load()
        return {id_: records[id_]["vector"] for id_ in ids if id_ in records}

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        with self._lock:
            held = next(iter(self._load().values()), None)
            lengths = [*([] if held is None else [len(held["vector"])]), *(len(node.get_embedding()) for node in nodes)]
            for length in lengths:
                _same_dimension(lengths[0], length)
            super().upsert(nodes)

    def _record(self, node: BaseNode) -> Record:
        return {**super()._record(node), "vector": [float(value) for value in node.get_embedding()]}

    def _scores(self, query: VectorStoreQuery, allowed: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, float]:
        if query.query_embedding is None:
            raise ComponentError("the memory store is asked by a vector, and the query has none", component="memory")
        wanted = [float(value) for value in query.query_embedding]
        return {id_: self._similarity(wanted, record["vector"]) for id_, record in allowed.items()}

    def _similarity(self, one: Sequence[float], other: Sequence[float]) -> float:
        _same_dimension(len(other), len(one))
        if self.metric == "l2":
            return -(math.dist(one, other) ** 2)
        dot = math.fsum(map(mul, one, other))
        if self.metric == "dot":
            return dot
        return dot / ((math.hypot(*one) * math.hypot(*other)) or 1.0)


class MemoryKeywordStore(MemoryStore):
    """BM25 (Lucene's, k1 1.5, b 0.75) over plain words; of Chinese, Japanese and Thai, over pairs of characters."""

    is_embedding_query: bool = False

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder, is_embedding_query=False)

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float]:
        records = self._load()
        scores = self._bm25(query, {id_: records[id_] for id_ in ids if id_ in records}, records)
        return [scores.get(id_, 0.0) for id_ in ids]

    def terms(self, text: str) -> list[str]:
        return [part for term in plain_terms(text) for part in _parts(term)]

    def idf(self, terms: Sequence[str]) -> list[float]:
        return self._weights(self._load()).idf(terms)

    def highest_score(self, query: str) -> float:
        return sum(self.idf(self.terms(query)))

    def _record(self, node: BaseNode) -> Record:
        return {**super()._record(node), "terms": self.terms(node.get_content(metadata_mode=MetadataMode.NONE))}

    def _scores(self, query: VectorStoreQuery, allowed: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, float]:
        return self._bm25(query.query_str or "", allowed, records)

    def _bm25(self, query: str, allowed: Mapping[str, Record], records: Mapping[str, Record]) -> dict[str, float]:
        """Robertson & Zaragoza 2009, without the constant k1 + 1; only scores above 0."""
        asked = self.terms(query)
        idf = dict(zip(asked, self._weights(records).idf(asked), strict=True))
        average = sum(len(record["terms"]) for record in records.values()) / max(len(records), 1)
        scores: dict[str, float] = {}
        for id_, record in allowed.items():
            counts: Counter[str] = Counter(record["terms"])
            length = 1.5 * (1 - 0.75 + 0.75 * len(record["terms"]) / (average or 1.0))
            score = sum(idf[term] * counts[term] / (counts[term] + length) for term in asked if counts[term])
            if score > 0:
                scores[id_] = score
        return scores

    def _weights(self, records: Mapping[str, Record]) -> PlainTerms:
        counts: Counter[str] = Counter()
        for record in records.values():
            counts.update(set(record["terms"]))
        return PlainTerms(counts, len(records))


def _parts(word: str) -> Iterator[str]:
    """A word, or of scripts that write no spaces between words, the overlapping pairs of characters."""
    for run in _UNSPACED.split(word):
        if not _UNSPACED.fullmatch(run) or len(run) == 1:
            yield from [run] if run else []
        else:
            yield from (run[start : start + 2] for start in range(len(run) - 1))


def _same_dimension(held: int, given: int) -> None:
    if held != given:
        raise ComponentError(
            f"the collection has vectors of dimension {held}, not {given}",
            component="memory",
            cure="run `ragkit ingest` with the embedding that is used now",
        )


def _passes(id_: str, record: Record, query: VectorStoreQuery) -> bool:
    if query.node_ids is not None and id_ not in query.node_ids:
        return False
    if query.doc_ids is not None and record["document"] not in query.doc_ids:
        return False
    return matches(query.filters, record["metadata"])


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return state
