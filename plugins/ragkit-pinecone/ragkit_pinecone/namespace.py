"""One namespace of an index: requests within Pinecone's limits, and waiting until what was written is visible.

Pinecone numbers the writes to a namespace, and each answer to a query says up to which number it has been read. Where no numbers
are told (by a local server), what was written last is looked for itself. The count of a namespace may lag behind both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pinecone.errors import exceptions as errors

from ragkit.errors import ComponentError
from ragkit.stores import Candidates, batches
from ragkit_pinecone.service import Service, polling
from ragkit_pinecone.where import Where
from ragkit_pinecone.wire import Record, arrived, headers_of, number_of, sized

if TYPE_CHECKING:
    from pinecone.index import Index
    from pinecone.models.indexes.index import IndexModel

T = TypeVar("T")

MOST = 10_000
"""So many hits a query may ask for."""

_DELETED = 1_000
_FETCHED = 100
"""Ids travel in the URL of a fetch: a thousand, which are allowed, would make it 40 KB long."""
_LISTED = 100
_WITH_METADATA = 50
"""So many hits come with their metadata: the limit of an answer is 4 MB, a record's metadata may take 40 KB."""
_REMEMBERED = 100_000
_STEADY_S = 0.25
_LAGGING_S = 10.0


class Namespace:
    """Reads and writes of one namespace; safe to use from several threads."""

    def __init__(self, service: Service, model: IndexModel, client: Index, name: str) -> None:
        self.index = model.name
        self.dimension = int(model.dimension or 0)
        self.client = client
        self._service = service
        self._name = name
        self._any_vector = [1.0] * self.dimension
        self._lock = threading.RLock()
        self._number: int | None = None  # of the last write
        self._evidence: dict[str, Record | None] = {}  # some of the last write; None for what was deleted
        self._unseen = False
        self._counted: int | None = None
        self._uncounted = True  # until it is counted, and after each write
        self._added: set[str] = set()
        self._deleted = False

    # Writing

    def upsert(self, records: Sequence[Record]) -> None:
        """Add or replace; ids come once."""
        for batch in sized(records):
            written = {record["id"]: record for record in batch}
            answer = self._call(partial(self.client.upsert, vectors=batch, namespace=self._name))
            self._wrote(headers_of(answer), written, written)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; ids come once and may be unknown."""
        for batch in batches(ids, _DELETED):
            self._delete({"ids": batch}, batch)

    def delete_where(self, where: Where) -> None:
        """Remove the records that the filter lets pass, of all that was written before."""
        self.settle()
        first = self.query(self._any_vector, _FETCHED, where).ids
        if first:
            self._delete({"filter": where}, first)

    def remove(self) -> None:
        """Delete the namespace with all its records, and wait until it is gone."""

        def delete() -> None:
            try:
                self.client.delete_namespace(name=self._name)
            except errors.NotFoundError as error:
                self._only_missing(error)

        self._call(delete)
        for _ in polling(self._service.options.wait):
            if not self._count() and not self.query(self._any_vector, 1, None).ids:
                with self._lock:
                    self._unseen, self._number, self._evidence = False, None, {}
                    self.start(0)
                return
        raise self._late("the namespace is not deleted yet")

    @property
    def unseen(self) -> bool:
        """Whether something was written here that may not be visible yet."""
        return self._unseen

    def settle(self) -> None:
        """Wait until all that was written here is visible."""
        with self._lock:
            if not self._unseen:
                return
            for _ in polling(self._service.options.wait):
                if self._visible():
                    self._unseen = False
                    return
        raise self._late("what was written is not visible yet")

    # Reading

    def query(self, vector: Sequence[float], k: int, where: Where | None) -> Candidates:
        """The ids and scores of the `k` nearest, at most `MOST`; for `l2` the score is the squared distance."""
        return self._query(vector, k, where, metadata=False)[0]

    def query_rows(self, vector: Sequence[float], k: int, where: Where | None, known: dict[str, Mapping[str, Any]]) -> Candidates:
        """As `query`, with the metadata of each as its row, None for one that was deleted meanwhile.

        `known` has what was fetched before, and is added to.
        """
        found, _ = self._query(vector, k, where, metadata=k <= _WITH_METADATA)
        if found.rows:
            known.update(zip(found.ids, found.rows, strict=True))
        known.update((id_, record.metadata or {}) for id_, record in self.fetch([id_ for id_ in found.ids if id_ not in known]))
        return Candidates(found.ids, found.scores, [known.get(id_) for id_ in found.ids])

    def fetch(self, ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Those of the records that are there, in no order."""
        for batch in batches(list(dict.fromkeys(ids)), _FETCHED):
            yield from self._call(partial(self.client.fetch, ids=batch, namespace=self._name)).vectors.items()

    def passing(self, where: Where) -> Iterator[tuple[str, Any]]:
        """The records that the filter lets pass."""
        yield from self._pages(
            lambda token: self.client.fetch_by_metadata(
                filter=where, namespace=self._name, limit=_FETCHED, pagination_token=token
            ),
            lambda page: page.vectors.items(),
        )

    def ids(self, page: int = _LISTED) -> Iterator[str]:
        """Every id, in order."""
        yield from self._pages(
            lambda token: self.client.list_paginated(namespace=self._name, limit=page, pagination_token=token),
            lambda page: (str(entry.id) for entry in page.vectors),
        )

    def count(self) -> int:
        """How many records there are; exact as soon as what was written is visible."""
        with self._lock:
            count = self._count()
            self.start(self._settled(count) if self._uncounted else count)
            return self._counted or 0

    def any(self) -> bool:
        """Whether there is a record."""
        return next(self.ids(1), None) is not None

    def start(self, count: int) -> None:
        """Count writes from this number of records on."""
        with self._lock:
            self._counted, self._uncounted, self._added, self._deleted = count, False, set(), False

    # How

    def _call(self, call: Callable[[], T]) -> T:
        return self._service.call(call, self.client.host)

    def _pages(self, ask: Callable[[str | None], Any], items: Callable[[Any], Iterable[T]]) -> Iterator[T]:
        token: str | None = None
        while True:
            page = self._call(partial(ask, token))
            yield from items(page)
            token = page.pagination.next if page.pagination is not None else None
            if not token:
                return

    def _only_missing(self, error: errors.NotFoundError) -> None:
        """A namespace without records is none; raise where it is the index that is missing."""
        if "namespace" not in error.message.lower() and self._service.describe(self.index) is None:
            raise error

    def _delete(self, what: dict[str, Any], evidence: Sequence[str]) -> None:
        body = {"namespace": self._name, **what}

        def delete() -> Mapping[str, str]:
            try:
                # the SDK's `delete` keeps the answer, and with it the number of this write, to itself
                headers: Mapping[str, str] = self.client._http.post("/vectors/delete", json=body).headers
            except errors.NotFoundError as error:
                self._only_missing(error)
                return {}
            return headers

        self._wrote(self._call(delete), dict.fromkeys(evidence))

    def _wrote(self, headers: Mapping[str, str], evidence: Mapping[str, Record | None], added: Collection[str] = ()) -> None:
        with self._lock:
            before = self._number if self._unseen else None  # a namespace that was deleted meanwhile counts from 1
            self._number = number_of(headers, written=True)
            if self._number is not None and before is not None:
                self._number = max(self._number, before)
            self._evidence = dict(list(evidence.items())[-_FETCHED:])
            self._unseen = self._uncounted = True
            self._added.update(added)
            self._deleted = self._deleted or not added
            if len(self._added) > _REMEMBERED:
                self._counted, self._added = None, set()

    def _visible(self) -> bool:
        _, headers = self._query(self._any_vector, 1, None, metadata=False)
        read = number_of(headers, written=False)
        if read is not None and self._number is not None:
            return read >= self._number
        found = dict(self.fetch(list(self._evidence)))
        return all(arrived(found.get(id_), record) for id_, record in self._evidence.items())

    def _query(
        self, vector: Sequence[float], k: int, where: Where | None, *, metadata: bool
    ) -> tuple[Candidates, Mapping[str, str]]:
        answer = self._call(
            lambda: self.client.query(
                vector=[float(value) for value in vector],
                top_k=min(k, MOST),
                namespace=self._name,
                filter=where,
                include_metadata=metadata,
            )
        )
        hits = answer.matches
        rows = [hit.metadata or {} for hit in hits] if metadata else ()
        return Candidates([hit.id for hit in hits], [hit.score for hit in hits], rows), headers_of(answer)

    def _count(self) -> int:
        def look() -> int:
            try:
                return int(self.client.describe_namespace(name=self._name).record_count)
            except errors.NotFoundError as error:
                self._only_missing(error)
                return 0

        return self._call(look)

    def _settled(self, count: int) -> int:
        """Pinecone's count may lag behind what was written. It is believed where it is what the writes from here should have
        made of it; else it is as many as a query finds or, where there are too many for one, what stays for a moment."""
        expected = None if self._counted is None or self._deleted else self._counted + len(self._added)
        at_least = 0
        if count != expected and count < MOST:
            found = len(self.query(self._any_vector, MOST, None).ids)
            if found < MOST:
                return found
            at_least = MOST
        since = time.monotonic()
        for _ in polling(_LAGGING_S):
            if count >= at_least and (count == expected or time.monotonic() - since > _STEADY_S):
                break
            if (again := self._count()) != count:
                count, since = again, time.monotonic()
        return count

    def _late(self, what: str) -> ComponentError:
        return ComponentError(
            f"pinecone at {self.client.host}, namespace {self._name}: {what} after {self._service.options.wait:g} s",
            component="pinecone",
            cure="run again in a while, or raise `wait`; what was written is kept",
        )
