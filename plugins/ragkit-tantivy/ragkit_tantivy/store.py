"""tantivy as a LlamaIndex store that is asked by text."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tantivy
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters, VectorStoreQuery
from tantivy import Occur, Query

from ragkit.analysis import Analyzer
from ragkit.components import Hits
from ragkit.errors import ComponentError
from ragkit.filters import matcher
from ragkit.stores import StoreMethods, batches, nearest
from ragkit_tantivy import folder as files
from ragkit_tantivy.queries import every, one_of, some, weightless
from ragkit_tantivy.records import EVERY, Record, ids_of, schema, token
from ragkit_tantivy.searching import View, best, candidates, pages
from ragkit_tantivy.where import Where
from ragkit_tantivy.writing import commit

if TYPE_CHECKING:
    from ragkit_tantivy import TantivyOptions

MOST_PENDING = 50_000_000
"""Changes of about so many bytes wait in memory for `flush`, at most; then they are written at once."""
_EACH = 1_000
_SATURATED = 1.2 + 1
"""k1 + 1: what BM25 multiplies the weight of a term with at most, however often a text has it."""


@dataclass
class _State:
    """What changes while the store is in use. A query waits for `reading` alone, never for a writer."""

    index: tantivy.Index | None = None
    view: View | None = None
    stamp: files.Stamp | None = None
    pending: dict[str, Record | None] = field(default_factory=dict)
    """What `flush` has to do: a chunk to put in, or None for one to take out."""
    waiting: int = 0
    """About how many bytes `pending` takes."""
    reading: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.RLock = field(default_factory=threading.RLock)


class TantivyStore(StoreMethods, BasePydanticVectorStore):
    """A tantivy index in a folder. Writes gather in memory until `flush` commits them; every query answers from one commit.

    Other processes and threads may search while one writes: each query looks whether there is another commit. The folder is
    locked while `flush` runs, and at no other time.
    """

    stores_text: bool = False
    is_embedding_query: bool = False

    _folder: Path = PrivateAttr()
    _options: TantivyOptions = PrivateAttr()
    _settings: dict[str, Any] = PrivateAttr()
    _analyzer: Analyzer = PrivateAttr()
    _schema: tantivy.Schema = PrivateAttr()
    _state: _State = PrivateAttr()

    def __init__(self, folder: Path, options: TantivyOptions) -> None:
        super().__init__(stores_text=False)
        self._folder = folder
        self._options = options
        self._settings = options.identity_values()
        self._analyzer = Analyzer(options.language)
        self._schema = schema()
        self._state = _State()

    # What ragkit asks for

    def search_ids(self, query: VectorStoreQuery) -> Hits:
        """The best chunks for `query.query_str` and their BM25 scores, all above 0; ties in the order of the ids."""
        view = self._current()
        terms = self._analyzer.terms(query.query_str or "")
        if view is None or not terms:
            return [], []
        asked, left = self._asked(view, terms, query)
        if left is None:
            return best(view.searcher, asked, query.similarity_top_k)
        found = nearest(partial(candidates, view.searcher, asked), query.similarity_top_k, matcher(left))
        return list(found.ids), list(found.scores)

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float]:
        """The BM25 score of each of `ids`; 0 where no term occurs or the id is unknown."""
        view, terms = self._current(), self._analyzer.terms(query)
        if view is None or not terms or not ids:
            return [0.0] * len(ids)
        unique = list(dict.fromkeys(ids))
        # the ids lead, so that a term is looked at in their chunks alone
        asked = [(Occur.Must, self._one_of("id", unique)), (Occur.Should, some([self._term(term) for term in terms]))]
        hits = view.searcher.search(Query.boolean_query(asked), len(unique), count=False).hits
        found = dict(zip(ids_of(view.searcher, [address for _, address in hits]), (score for score, _ in hits), strict=True))
        return [float(found.get(id_, 0.0)) for id_ in ids]

    def evaluates(self, filters: MetadataFilters) -> bool:
        """Whether tantivy evaluates all of `filters`; that depends on how many values the keys have (`ragkit_tantivy.where`)."""
        view = self._current()
        return view is None or view.where.split(filters)[1] is None

    def terms(self, text: str) -> list[str]:
        """The terms of `text` as they are indexed, repetitions included."""
        return self._analyzer.terms(text)

    def idf(self, terms: Sequence[str]) -> list[float]:
        """ln(1 + (N − df + 0.5) / (df + 0.5)), Lucene's; the highest for a term that no chunk has.

        Deleted chunks count, as they do in tantivy's scores, until they are merged away.
        """
        view = self._current()
        total, counts = 0, [0] * len(terms)
        if view is not None:
            total = view.searcher.doc_freq("facts", EVERY)
            counts = [view.searcher.doc_freq("body", term) for term in terms]
        return [math.log1p((total - count + 0.5) / (count + 0.5)) for count in counts]

    def highest_score(self, query: str) -> float:
        """The score of a text that had each term of the question any number of times: no text can have a higher one."""
        view = self._current()
        known = [term for term in self.terms(query) if view is not None and view.searcher.doc_freq("body", term)]
        return _SATURATED * sum(self.idf(known))

    def ids(self) -> Iterator[str]:
        view = self._current()
        if view is not None:
            for addresses in pages(view):
                yield from ids_of(view.searcher, addresses)

    def count(self) -> int:
        """How many chunks can be found now; what waits for `flush` does not count."""
        view = self._current()
        return view.searcher.num_docs if view is not None else 0

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        """Take nodes in at the next `flush`, in place of those with the same id; many are written at once (`MOST_PENDING`)."""
        for batch in batches(nodes, 1_000):
            self._gather({node.node_id: Record.of(node, self._analyzer) for node in batch})

    def delete_ids(self, ids: Sequence[str]) -> None:
        """Take out the chunks with these ids, at the next `flush`; unknown ids are no error."""
        self._gather(dict.fromkeys(ids))

    def flush(self) -> None:
        """Commit what has gathered: it is durable then, and seen by every search that begins."""
        state = self._state
        with state.writing:
            if state.pending:
                files.ready(self._folder, self._settings)
                with self._alone() as writer:
                    commit(writer, state.pending, self._current, self._options.merge_deleted)
                files.sync_index(self._folder)
                state.pending, state.waiting = {}, 0

    def drop(self) -> None:
        """Remove the index and the mark; the store is empty then and can be used again."""
        state = self._state
        with state.writing:
            try:
                sound = self._current() is not None
            except ComponentError:  # what is damaged can be dropped, too
                sound = False
            with self._alone() if sound else contextlib.nullcontext():  # nobody else writes into what goes
                files.remove(self._folder)
            state.pending, state.waiting = {}, 0

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
        return "ragkit.TantivyStore"

    @property
    def client(self) -> Any:
        """The index as tantivy has it, None before the first write."""
        self._current()
        return self._state.index

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Take out every chunk of a document, at the next `flush`."""
        state = self._state
        with state.writing:
            view = self._current()
            stored: list[str] = []
            for addresses in pages(view, self._one_of("document", [ref_doc_id])) if view else ():
                stored += ids_of(view.searcher, addresses) if view else ()
            waiting = [id_ for id_, record in state.pending.items() if record and record.document == ref_doc_id]
            self.delete_ids([*waiting, *(id_ for id_ in stored if id_ not in state.pending)])

    def passing(self, filters: MetadataFilters, ids: Sequence[str] | None) -> list[str]:
        """Of the chunks that are there; what waits for `flush` is not looked at."""
        view = self._current()
        if view is None:
            return []
        native, left = view.where.split(filters)
        passes = matcher(left)
        wanted = [query for query in (native, None if ids is None else self._one_of("id", ids)) if query is not None]
        found = []
        for addresses in pages(view, *wanted):
            if left is None:
                found += ids_of(view.searcher, addresses)
            else:
                records = (Record.read(view.searcher.doc(address)) for address in addresses)
                found += [record.id for record in records if passes(record.metadata)]
        return found

    def clear(self) -> None:
        super().clear()
        self.flush()

    # How

    def _asked(self, view: View, terms: Sequence[str], query: VectorStoreQuery) -> tuple[Query, MetadataFilters | None]:
        """The question as tantivy takes it, and what is left of its filters."""
        native, left = view.where.split(query.filters) if query.filters is not None else (None, None)
        wanted = [
            native,
            None if query.node_ids is None else self._one_of("id", query.node_ids),
            None if query.doc_ids is None else self._one_of("document", query.doc_ids),
        ]
        limits = [weightless(part) for part in wanted if part is not None]
        return every([some([self._term(term) for term in terms]), *limits]), left

    def _term(self, term: str) -> Query:
        return Query.term_query(self._schema, "body", term, "freq")

    def _one_of(self, name: str, values: Sequence[str]) -> Query:
        return weightless(one_of(self._schema, name, [token(value) for value in values]))

    def _current(self) -> View | None:
        """The last commit, None where there is no index."""
        state = self._state
        with state.reading:
            for _ in range(20):
                stamp = files.stamp(self._folder)
                if stamp == state.stamp:
                    break
                try:
                    self._look(stamp)
                except (OSError, ValueError, ComponentError) as error:
                    # it may have been dropped, and made anew, meanwhile
                    state.index = state.view = state.stamp = None
                    if files.stamp(self._folder) == stamp:
                        raise error if isinstance(error, ComponentError) else files.damaged(self._folder, error) from error
            return state.view

    def _look(self, stamp: files.Stamp | None) -> None:
        state = self._state
        if stamp is None:
            state.index = state.view = None
        else:
            state.index = state.index or files.opened(self._folder, self._settings)
            state.index.reload()
            searcher = state.index.searcher()
            state.view = View(self._schema, searcher, Where(self._schema, searcher))
        state.stamp = stamp

    def _alone(self) -> contextlib.AbstractContextManager[tantivy.IndexWriter]:
        return files.writer(self._folder, self._settings, self._options.memory_mb, self._options.timeout)

    def _gather(self, changes: Mapping[str, Record | None]) -> None:
        state = self._state
        with state.writing:
            state.pending.update(changes)
            state.waiting += sum(_EACH + (len(record.terms) if record else 0) for record in changes.values())
            if state.waiting > MOST_PENDING:
                self.flush()
