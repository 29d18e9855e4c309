"""BM25 as a LlamaIndex store that is asked by text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryResult,
)

from ragkit.analysis import Analyzer
from ragkit.components import Hits
from ragkit.filters import matcher
from ragkit_bm25 import files
from ragkit_bm25.index import Index, best, build
from ragkit_bm25.merge import Changes, empty, merge
from ragkit_bm25.numbers import Array

if TYPE_CHECKING:
    from ragkit_bm25 import BM25Options


@dataclass
class _State:
    """What changes while the store is in use. A query waits for `reading` alone, never for a writer that builds an index."""

    index: Index
    stamp: files.Stamp | None = None
    pending: Changes = field(default_factory=Changes)
    """What `flush` has to do."""
    reading: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.RLock = field(default_factory=threading.RLock)


class BM25Store(BasePydanticVectorStore):
    """A BM25 index in a folder. Writes gather in memory until `flush`; every query answers from one whole index.

    Other processes and threads may search while one writes: each query looks whether another index has been taken into use.
    """

    stores_text: bool = False
    is_embedding_query: bool = False

    _folder: Path = PrivateAttr()
    _options: BM25Options = PrivateAttr()
    _settings: dict[str, Any] = PrivateAttr()
    _analyzer: Analyzer = PrivateAttr()
    _state: _State = PrivateAttr()

    def __init__(self, folder: Path, options: BM25Options) -> None:
        super().__init__(stores_text=False)
        self._folder = folder
        self._options = options
        self._settings = options.identity_values()
        self._analyzer = Analyzer(options.language)
        self._state = _State(build(empty(), options))

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The best chunks for `query.query_str` and their BM25 scores, all above 0; ties in the order of the ids."""
        index = self._current()
        rows, scores = self._search(index, query)
        return [_text(index.corpus.ids[row]) for row in rows], [float(scores[row]) for row in rows]

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float]:
        """The BM25 score of each of `ids`; 0 where no term occurs or the id is unknown."""
        index = self._current()
        return [float(score) for score in index.scores_of(self._analyzer.terms(query), index.rows(ids))]

    def highest_score(self, query: str) -> float:
        """The score of a text that had each term of the question any number of times: no text can have a higher one."""
        return self._current().bound(self._analyzer.terms(query), self._options)

    def terms(self, text: str) -> list[str]:
        """The terms of `text` as they are indexed, repetitions included."""
        return self._analyzer.terms(text)

    def idf(self, terms: Sequence[str]) -> list[float]:
        """ln(1 + (N − df + 0.5) / (df + 0.5)), Lucene's, for every method; the highest for a term that no chunk has."""
        index = self._current()
        df = index.frequencies(terms)
        return [float(value) for value in np.log1p((len(index) - df + 0.5) / (df + 0.5))]

    def ids(self) -> Iterator[str]:
        return map(_text, self._current().corpus.ids)

    def count(self) -> int:
        """How many chunks can be found now; what waits for `flush` does not count."""
        return len(self._current())

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Take nodes in at the next `flush`, in place of those with the same id."""
        read = [(node.node_id, *self._read(node)) for node in nodes]
        with self._state.writing:
            for id_, terms, record in read:
                self._state.pending.put(id_, terms, record)

    def flush(self) -> None:
        """Build the index anew with what has gathered, make it durable and take it into use."""
        state = self._state
        with state.writing:
            if state.pending.texts:
                index = build(merge(self._current().corpus, state.pending), self._options)
                files.write(self._folder, index, self._settings)
                state.pending = Changes()

    def drop(self) -> None:
        """Remove the index and the mark; the store is empty then and can be used again."""
        with self._state.writing:
            files.remove(self._folder)
            self._state.pending = Changes()

    def marker(self) -> Mapping[str, str] | None:
        try:
            text = (self._folder / files.MARK).read_text("utf-8")
        except FileNotFoundError:
            return None
        return {str(key): str(value) for key, value in json.loads(text).items()}

    def mark(self, values: Mapping[str, str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        files.replace(self._folder / files.MARK, json.dumps(dict(values)))

    # What LlamaIndex asks for

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.BM25Store"

    @property
    def client(self) -> Any:
        """The index in use."""
        return self._current()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Like `upsert`, and findable at once: it flushes, so add many together. Returns the ids."""
        self.upsert(nodes)
        self.flush()
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Take out every chunk of a document, at the next `flush`."""
        with self._state.writing:
            pending = self._state.pending.texts
            ids = [id_ for id_, text in pending.items() if text and json.loads(text.record)[0] == ref_doc_id]
            records = self._current().corpus.records
            stored = zip(self.ids(), records, strict=True)
            ids.extend(id_ for id_, record in stored if json.loads(record)[0] == ref_doc_id and id_ not in pending)
            pending.update(dict.fromkeys(ids))

    def delete_nodes(
        self, node_ids: Sequence[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Take out the chunks with these ids (those that `filters` let pass), at the next `flush`; unknown ids are no error."""
        with self._state.writing:
            index = self._current()
            chosen = list(self.ids()) if node_ids is None and filters is not None else list(node_ids or ())
            if filters is not None:
                rows, passes = zip(chosen, index.rows(chosen).tolist(), strict=True), matcher(filters)
                chosen = [id_ for id_, row in rows if row >= 0 and passes(_record(index, row)[1])]
            self._state.pending.texts.update(dict.fromkeys(chosen))

    def clear(self) -> None:
        self.delete_nodes(list(self.ids()))
        self.flush()

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Ids and scores; the store keeps no text, so there are no nodes."""
        ids, scores = self.search_ids(query)
        return VectorStoreQueryResult(ids=ids, similarities=scores)

    # How

    def _search(self, index: Index, query: VectorStoreQuery) -> tuple[list[int], Array]:
        scores = index.scores(self._analyzer.terms(query.query_str or ""))
        only = None if query.node_ids is None else set(index.rows(query.node_ids).tolist())
        documents = None if query.doc_ids is None else set(query.doc_ids)
        lets_pass = matcher(query.filters)

        def passes(row: int) -> bool:
            if only is not None and row not in only:
                return False
            document, metadata = _record(index, row)
            return (documents is None or document in documents) and lets_pass(metadata)

        free = query.filters is None and only is None and documents is None
        return best(scores, query.similarity_top_k, None if free else passes).tolist(), scores

    def _current(self) -> Index:
        """The index in use, read anew when another one has been taken into use."""
        state = self._state
        with state.reading:
            stamp = files.stamp(self._folder)
            if stamp != state.stamp:
                state.index = files.read(self._folder, self._settings) or build(empty(), self._options)
                state.stamp = stamp
            return state.index

    def _read(self, node: BaseNode) -> tuple[list[str], bytes]:
        """The terms of a node, and the record that is kept with them."""
        metadata = {key: value for key, value in node.metadata.items() if value is not None}
        record = json.dumps([node.ref_doc_id, metadata], ensure_ascii=False, default=str)
        terms = self._analyzer.terms(node.get_content(metadata_mode=MetadataMode.NONE))
        return terms, record.encode("utf-8", "surrogatepass")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")


def _record(index: Index, row: int) -> tuple[str | None, dict[str, Any]]:
    document, metadata = json.loads(index.corpus.records[row].decode("utf-8", "surrogatepass"))
    return document, metadata
