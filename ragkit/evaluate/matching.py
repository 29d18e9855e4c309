"""From a dataset's judgments to the documents and chunks of one index.

A document is matched by its record `_id`, else by its URI. What is not in the index stays judged, so that it counts
against recall, and is counted in the notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ragkit.errors import DatasetError, Problem
from ragkit.evaluate.datasets import Dataset, Query, Relevant
from ragkit.evaluate.spans import Range, locate

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

    from ragkit.state.reader import Reader
    from ragkit.state.records import DocumentRecord


@dataclass(frozen=True)
class Judged:
    """What the hits of one question are held against: grades by name, and ranges of characters by document id.

    The names are those of chunks where `by_chunk`, else of documents; see `Judge.name`.
    """

    grades: Mapping[str, int]
    by_chunk: bool = False
    ranges: Mapping[str, Sequence[Range]] = field(default_factory=dict)


@dataclass
class _Known:
    """What the judgments name, and what the index has of it: document ids by record id and by URI, chunk ids.

    `count` is how many documents the index has.
    """

    count: int = 0
    by_id: dict[str, set[str]] = field(default_factory=dict)
    by_uri: dict[str, set[str]] = field(default_factory=dict)
    chunks: set[str] = field(default_factory=set)

    def documents(self, item: str) -> set[str]:
        return self.by_id.get(item) or self.by_uri.get(item) or set()


@dataclass
class _Passage:
    """A quote on the search for its documents: by document id, the document's name and the range."""

    judgment: Relevant
    found: dict[str, tuple[str, Range]] = field(default_factory=dict)


class Judge:
    """Knows what is relevant in one index. `notes` say what of the dataset is not there.

    Raises `DatasetError` where nothing of it is, and where one question is judged by chunks and documents at once.
    """

    def __init__(self, dataset: Dataset, reader: Reader) -> None:
        self._known = _find(dataset, reader)
        self._passages = self._find_passages(dataset, reader)
        self.notes: list[str] = []
        self._tell(dataset)
        self.judged = {query.id: self._judge(query) for query in dataset.queries}

    @property
    def documents(self) -> int:
        """How many documents the index has."""
        return self._known.count

    def name(self, node: BaseNode) -> str:
        """The name under which a hit's document counts: as it is judged, else its record `_id`, else its URI."""
        document, uri = str(node.ref_doc_id), str(node.metadata.get("uri", ""))
        record = str(node.metadata.get("_id") or "")
        if document in self._known.by_id.get(record, ()):
            return record
        if document in self._known.by_uri.get(uri, ()):
            return uri
        name = record or uri
        return document if self._known.documents(name) else name

    def _find_passages(self, dataset: Dataset, reader: Reader) -> dict[Relevant, _Passage]:
        """Look up every passage in the texts, in one pass."""
        wanted = {item: _Passage(item) for query in dataset.queries for item in query.relevant if self._is_passage(item)}
        if not wanted:
            return {}
        anywhere = [passage for item, passage in wanted.items() if item.kind == "any" or not item.item]
        within: dict[str, list[_Passage]] = {}
        for item, passage in wanted.items():
            if item.kind != "any" and item.item:
                within.setdefault(item.item, []).append(passage)
        for document in reader.documents():
            names = _names(document)
            told = next((name for name in (*names, PurePosixPath(document.uri).stem) if name in within), None)
            for passage in (*anywhere, *(within[told] if told else ())):
                place = _place(document.text, passage.judgment)
                if place is not None:
                    passage.found[document.id] = (names[0], place)
                    known = self._known.by_uri if names[0] == document.uri else self._known.by_id
                    known.setdefault(names[0], set()).add(document.id)
        return wanted

    def _is_passage(self, item: Relevant) -> bool:
        """Whether a judgment is a passage; a bare text of several words is one if it names nothing."""
        if item.kind == "any":
            return not self._known.documents(item.item) and item.item not in self._known.chunks and len(item.item.split()) > 1
        return item.kind == "passage"

    def _judge(self, query: Query) -> Judged:
        grades: dict[str, int] = {}
        ranges: dict[str, list[Range]] = {}
        kinds = set()
        for item in query.relevant:
            passage = self._passages.get(item)
            names = [item.item or item.quote]
            if passage is not None and passage.found:
                names = [name for name, _ in passage.found.values()]
                for document, (_, place) in passage.found.items():
                    ranges.setdefault(document, []).append(place)
            for name in names:
                grades[name] = max(item.grade, grades.get(name, item.grade))
            kinds.add(item.kind == "chunk" or (item.kind == "any" and item.item in self._known.chunks))
        if len(kinds) > 1:
            message = f"the question {query.id!r} is judged by chunks and by documents at once"
            raise DatasetError([Problem("", message)], cure="judge it by one of them")
        return Judged(grades, by_chunk=kinds == {True}, ranges=ranges)

    def _tell(self, dataset: Dataset) -> None:
        """Count what is not in the index; refuse a dataset of which nothing is."""
        items = {item for query in dataset.queries for item in query.relevant}
        missing = sorted((item for item in items if not self._is_there(item)), key=lambda item: item.item or item.quote)
        if len(missing) == len(items):
            message = f"none of the {len(items)} judged items of {dataset.name} is in the index, {_shown(missing[0])} for one"
            cure = "judge by the documents' record `_id` or URI (`ragkit search --json` shows both), by chunk ids or by quotes"
            raise DatasetError([Problem("", message)], cure=cure)
        if missing:
            self.notes.append(
                f"{len(missing)} of the {len(items)} judged items are not in the index, {_shown(missing[0])} for one; "
                "they count as not found"
            )
        several = [name for name, found in {**self._known.by_uri, **self._known.by_id}.items() if len(found) > 1]
        if several:
            self.notes.append(f"{len(several)} judged ids are those of several documents, which count as one: {several[0]!r} …")

    def _is_there(self, item: Relevant) -> bool:
        passage = self._passages.get(item)
        if passage is not None:
            return bool(passage.found)
        return item.item in self._known.chunks or bool(item.kind != "chunk" and self._known.documents(item.item))


def _find(dataset: Dataset, reader: Reader) -> _Known:
    """Which of the names that judgments use are those of documents or chunks."""
    items = [item for query in dataset.queries for item in query.relevant]
    wanted = {item.item for item in items if item.kind in ("any", "document")}
    known = _Known()
    for document in reader.documents(texts=False):
        known.count += 1
        record = str(document.metadata.get("_id") or "")
        for names, name in ((known.by_id, record), (known.by_uri, document.uri)):
            if name in wanted:
                names.setdefault(name, set()).add(document.id)
    candidates = {item.item for item in items if item.kind == "chunk"}
    candidates |= {name for name in wanted if not known.documents(name)}
    known.chunks = set(reader.alive(sorted(candidates)))
    return known


def _names(document: DocumentRecord) -> list[str]:
    """The record `_id`, where there is one, and the URI."""
    record: Any = document.metadata.get("_id")
    return [str(record), document.uri] if record else [document.uri]


def _place(text: str, item: Relevant) -> Range | None:
    quote = item.quote or (item.item if item.kind == "any" else "")
    if item.start is not None and item.end is not None and (not quote or text[item.start : item.end] == quote):
        return (item.start, item.end) if item.end <= len(text) else None
    return locate(text, quote, item.start) if quote else None


def _shown(item: Relevant) -> str:
    name = item.item or item.quote
    return repr(name if len(name) <= 60 else f"{name[:60]}…")


def batches(queries: Sequence[Query], size: int) -> Iterator[Sequence[Query]]:
    """The questions in lists of at most `size`."""
    for start in range(0, len(queries), size):
        yield queries[start : start + size]
