"""Sources over documents that are given, one of which fails on demand."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from llama_index.core.schema import Document

from ragkit.components import Entry
from ragkit.errors import DocumentError, DocumentGone, SourceError


class MemorySource:
    """A source over `documents`: mappings with `uri`, `text` and perhaps `metadata`."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._documents = [dict(document) for document in documents]

    def __iter__(self) -> Iterator[Document]:
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List the documents; see `ragkit.components.ListsEntries`."""
        for document in self._documents:
            uri = str(document["uri"])
            yield Entry(uri=uri, read=partial(self._read, document), convert=partial(_convert, uri))

    def _read(self, document: Mapping[str, Any]) -> bytes:
        return json.dumps([document["text"], document.get("metadata") or {}], ensure_ascii=False).encode()


class FailingSource(MemorySource):
    """A source whose listing raises `SourceError` after `fail_after` documents, and some of whose documents fail.

    Reading one of `fail_reading` raises `DocumentError`, one of `gone` `DocumentGone`. Without documents it is a source
    that lists nothing and ends as if that were all.
    """

    def __init__(
        self,
        documents: Sequence[Mapping[str, Any]],
        *,
        fail_after: int | None = None,
        fail_reading: Collection[str] = (),
        gone: Collection[str] = (),
    ) -> None:
        super().__init__(documents)
        self._fail_after = fail_after
        self._fail_reading = frozenset(fail_reading)
        self._gone = frozenset(gone)

    def entries(self) -> Iterator[Entry]:
        for position, entry in enumerate(super().entries()):
            if position == self._fail_after:
                break
            yield entry
        if self._fail_after is not None:
            raise SourceError(f"the listing fails after {self._fail_after} documents, as asked", cure="unset fail_after")

    def _read(self, document: Mapping[str, Any]) -> bytes:
        uri = str(document["uri"])
        if uri in self._gone:
            raise DocumentGone(f"{uri} exists no more, as asked", uri=uri)
        if uri in self._fail_reading:
            raise DocumentError(f"{uri} cannot be read, as asked", uri=uri, cure="take it out of fail_reading")
        return super()._read(document)


def _convert(uri: str, raw: bytes) -> Document:
    text, metadata = json.loads(raw)
    return Document(id_=uri, text=text, metadata={**metadata, "uri": uri})
