"""The source `jsonl`: every line of a file is a record, every record a document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.files import FilesSource
from ragkit.builtin.sources.records import RESERVED, Record, flat, key_text, lines, listing, parsed, shown
from ragkit.components import Entry
from ragkit.conversion.decode import storable
from ragkit.errors import DocumentError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources import JsonlOptions

_VERSION = 1
"""Raised whenever the same line begins to give another document."""


class JsonlSource:
    """The records of one file or of the files under a folder, in order; one line is held at a time.

    A record's URI is `file#id`. A line that is no good record fails by itself. Where its id cannot be read either,
    nobody knows which document it was, so the listing ends with a `SourceError` and nothing is removed in that run.
    """

    def __init__(self, options: JsonlOptions) -> None:
        self._options = options
        self._root = options.path.absolute()
        self._files = FilesSource(
            FilesOptions(path=options.path, include=options.include, hidden=options.hidden, gitignore=False)
        )
        chosen = options.model_dump(include={"id", "title", "text", "metadata", "format"})
        self._version = f"jsonl {_VERSION} {json.dumps(chosen, sort_keys=True)}"

    def __iter__(self) -> Iterator[Document]:
        """Convert everything. The first bad record ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. A second record of the same id is listed too: telling them apart is the host's."""
        return listing(self._records(), self._key, self._convert, self._version)

    def _records(self) -> Iterator[tuple[str, Iterator[Record]]]:
        for file in self._files.entries():
            path = self._root / file.uri if self._root.is_dir() else self._root
            yield file.uri, lines(path, file.uri, self._options.max_bytes)

    def _key(self, place: str, raw: bytes) -> str:
        """The id of a record, as leniently as possible: what else is wrong with it is told when it is converted."""
        name = self._options.id
        return key_text(place, parsed(place, raw, strict=False).get(name), name)

    def _convert(self, place: str, uri: str, raw: bytes) -> Document:
        from llama_index.core.schema import Document

        record = parsed(place, raw, strict=True)
        title = self._title(place, record)
        metadata = {
            **self._metadata(place, record),
            "_id": str(record[self._options.id]),
            "uri": uri,
            "title": title,
            "format": self._options.format,
        }
        return Document(text=self._text(place, record) or title, metadata=metadata, id_=uri)

    def _title(self, place: str, record: Mapping[str, Any]) -> str:
        title = record.get(self._options.title) if self._options.title else None
        if isinstance(title, dict | list):
            raise DocumentError(f"{place}: {self._options.title!r} is {shown(title)}, and no title")
        return "" if title is None else " ".join(storable(str(title)).split())

    def _text(self, place: str, record: Mapping[str, Any]) -> str:
        """The text fields, joined by blank lines; nothing where only the title says something."""
        wanted = self._options.text
        names: Sequence[str] = (wanted,) if isinstance(wanted, str) else wanted
        parts = [record.get(name) for name in names]
        for name, part in zip(names, parts, strict=True):
            if part is not None and not isinstance(part, str):
                raise DocumentError(f"{place}: {name!r} is {shown(part)}, and no text")
        text = "\n\n".join(storable(part) for part in parts if part and part.strip())
        titled = any(part is not None for part in parts) and self._title(place, record)
        if not text.strip() and not titled:
            raise DocumentError(f"{place}: has no text in {' or '.join(map(repr, names))}", cure="name the field with `text`")
        return text

    def _metadata(self, place: str, record: Mapping[str, Any]) -> dict[str, Any]:
        if self._options.metadata is None:
            kept = record.get("metadata")
            if kept is None:
                return {}
            if not isinstance(kept, dict):
                raise DocumentError(f"{place}: 'metadata' is {shown(kept)}, and no object", cure="list the fields to keep")
        else:
            kept = {name: record[name] for name in self._options.metadata if name in record}
        return {key: value for key, value in flat(kept) if key not in RESERVED}
