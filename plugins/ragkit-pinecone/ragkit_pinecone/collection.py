"""Where a collection lies: a namespace of that name, in an index that is found or made, and its mark.

Pinecone has no place to write down whom a namespace belongs to. The marks of all collections of an index are records of a
namespace of their own, so that they count nowhere. An index is made when the first vector tells its dimension; until then the
mark lies in a file in the view's folder, and nothing is in Pinecone that could belong to somebody.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pinecone.errors import exceptions as errors

from ragkit.errors import ComponentError
from ragkit.stores import http_fault, require_dimension
from ragkit_pinecone.namespace import Namespace
from ragkit_pinecone.service import METRICS, Service

if TYPE_CHECKING:
    from pinecone.models.indexes.index import IndexModel

T = TypeVar("T")

MARKS = "ragkit-marks"
"""The namespace of the marks: one record per collection, with its name as id."""
_MARK = "mark"


class Collection:
    """The namespace of a collection. Looked for until it is there; safe to use from several threads."""

    def __init__(self, service: Service, name: str, folder: Path) -> None:
        self._service = service
        self._name = name
        self._file = folder / "mark.json"
        self._lock = threading.RLock()
        self._held: tuple[Namespace, Namespace] | None = None
        self._retired: list[Namespace] = []
        self._lost = False  # whether there were writes that nobody has seen in an index that is gone

    @property
    def records(self) -> Namespace | None:
        """The namespace where it is known, without asking Pinecone."""
        return self._held[0] if self._held is not None else None

    def read(self, use: Callable[[Namespace], T], otherwise: T) -> T:
        """Use the namespace; the collection has nothing where there is no index for it."""
        held = self._found()
        return otherwise if held is None else self._kept(lambda: use(held[0]))

    def write(self, use: Callable[[Namespace], T], dimension: int) -> T:
        """Use the namespace for vectors of that dimension; the index is made where it is missing."""
        held = self._made(dimension)
        return self._kept(lambda: use(held[0]))

    def settle(self) -> None:
        """Wait until what was written is visible."""
        held = self._held
        lost, self._lost = self._lost, False
        if lost:
            raise self._gone("the index was deleted with what had just been written to it")
        if held is not None and held[0].unseen:
            try:
                self._kept(held[0].settle)
            finally:
                self._lost = False  # an error of this call tells it

    def marker(self) -> Mapping[str, str] | None:
        held = self._found()
        if held is None:
            return self._pending()
        return self._kept(lambda: _mark_in(held[1], self._name))

    def mark(self, values: Mapping[str, str]) -> None:
        held = self._found()
        if held is not None:
            self._kept(lambda: self._put(held[1], values))
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(dict(values)), encoding="utf-8")
        temporary.replace(self._file)

    def drop(self) -> None:
        """Delete the namespace, then its mark. The index stays: other collections may be in it."""
        held = self._found()
        if held is not None:
            records, marks = held

            def remove() -> None:
                records.remove()
                marks.delete([self._name])
                marks.settle()

            self._kept(remove)
        self._file.unlink(missing_ok=True)
        self._lost = False
        self._forget()

    def close(self) -> None:
        self._forget()
        while self._retired:
            self._retired.pop().client.close()
        self._service.close()

    # How

    def _found(self) -> tuple[Namespace, Namespace] | None:
        with self._lock:
            if self._held is None:
                index = self._service.options.index
                model = self._service.ready(index) if index is not None else None
                found = self._opened(model) if model is not None else self._search() if index is None else None
                self._held = self._marked(found) if found is not None else None
            return self._held

    def _made(self, dimension: int) -> tuple[Namespace, Namespace]:
        with self._lock:
            held = self._found()
            if held is None:
                options = self._service.options
                model = self._service.ready(options.index or f"ragkit-{options.metric}-{dimension}", dimension)
                assert model is not None
                held = self._held = self._marked(self._opened(model))
                if not held[0].any():
                    held[0].start(0)
        self.require(held[0], dimension)
        return held

    def _marked(self, found: tuple[Namespace, Namespace]) -> tuple[Namespace, Namespace]:
        """Give an empty namespace the mark that has waited for it."""
        records, marks = found
        pending = self._pending()
        if pending is not None:
            if _mark_in(marks, self._name) is None and not records.any():
                self._put(marks, pending)
            self._file.unlink(missing_ok=True)
        return found

    def require(self, records: Namespace, dimension: int) -> None:
        """Raise `ComponentError` for vectors of another dimension than the index has."""
        if self._service.options.index is None:
            require_dimension("pinecone", records.dimension, dimension)
        elif records.dimension != dimension:
            raise ComponentError(
                f"pinecone: the index {records.index} holds vectors of dimension {records.dimension}, not {dimension}",
                component="pinecone",
                cure="name another `index`, or leave it out: ragkit then makes one for each dimension",
            )

    def _search(self) -> tuple[Namespace, Namespace] | None:
        """Among ragkit's indexes of this metric, the one in which the collection is."""
        metric = self._service.options.metric
        name = re.compile(rf"ragkit-{metric}-\d+")
        for model in self._service.indexes():
            if name.fullmatch(model.name) and model.metric == METRICS[metric]:
                records, marks = self._opened(model)
                if _mark_in(marks, self._name) is not None or records.any():
                    return records, marks
                records.client.close()
        return None

    def _opened(self, model: IndexModel) -> tuple[Namespace, Namespace]:
        client = self._service.open(model)
        return Namespace(self._service, model, client, self._name), Namespace(self._service, model, client, MARKS)

    def _kept(self, use: Callable[[], T]) -> T:
        """Use the index; where it is not there any more, it is looked for anew the next time."""
        try:
            return use()
        except ComponentError as error:
            if isinstance(error.__cause__, errors.PineconeConnectionError | errors.NotFoundError):
                self._explain(error)
            raise

    def _explain(self, error: ComponentError) -> None:
        """Raise where the index is the reason; then, or where it has moved, forget where it was."""
        held = self._held
        if held is None:
            return
        model = self._service.describe(held[0].index)
        if model is None or held[0].client.host != self._service.host_of(model):
            self._lost = self._lost or held[0].unseen
            self._forget()
        if model is None:
            raise self._gone(f"the index {held[0].index} was deleted") from error

    def _gone(self, what: str) -> ComponentError:
        return http_fault("pinecone", self._service.options.host, 404, what).error

    def _forget(self) -> None:
        """Other threads may be using the connections: these are closed in the end."""
        with self._lock:
            if self._held is not None:
                self._retired.append(self._held[0])
                self._held = None

    def _pending(self) -> Mapping[str, str] | None:
        try:
            values: Mapping[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return values

    def _put(self, marks: Namespace, values: Mapping[str, str]) -> None:
        vector = [1.0, *[0.0] * (marks.dimension - 1)]
        marks.upsert([{"id": self._name, "values": vector, "metadata": {_MARK: json.dumps(dict(values))}}])
        marks.settle()


def _mark_in(marks: Namespace, name: str) -> Mapping[str, str] | None:
    for _, record in marks.fetch([name]):
        values: Mapping[str, str] = json.loads((record.metadata or {}).get(_MARK, "{}"))
        return values
    return None
