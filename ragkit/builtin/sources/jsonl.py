"""The source `jsonl`: every line of a file is a record, every record a document."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.decode import storable
from ragkit.builtin.sources.files import FilesSource
from ragkit.components import Entry
from ragkit.errors import DocumentError, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources import JsonlOptions

_VERSION = 1
"""Raised whenever the same line begins to give another document."""

_RESERVED = frozenset(("_id", "uri", "title", "format", "source", "heading", "page"))
_BOM = b"\xef\xbb\xbf"
_SKIPPED_AT_ONCE = 1 << 16
_NAMED_PLACES = 3


class JsonlSource:
    """The records of one file or of the files under a folder, in order; one line is held at a time.

    A record's URI is `file#id`. A line that is no good record fails by itself. Where its id cannot be read either,
    nobody knows which document it was, so the listing ends with a `SourceError` and nothing is removed in that run.
    """

    def __init__(self, options: JsonlOptions) -> None:
        self._options = options
        self._root = options.path.absolute()
        self._files = FilesSource(FilesOptions(path=options.path, include=options.include, hidden=options.hidden))
        chosen = options.model_dump(include={"id", "title", "text", "metadata", "format"})
        self._version = f"jsonl {_VERSION} {json.dumps(chosen, sort_keys=True)}"

    def __iter__(self) -> Iterator[Document]:
        """Convert everything. The first bad record ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. A second record of the same id is listed too: telling them apart is the host's."""
        nameless: list[str] = []
        for file in self._files.entries():
            path = self._root / file.uri if self._root.is_dir() else self._root
            for number, line in _lines(path, file.uri, self._options.max_bytes):
                place = f"{file.uri}:{number}"
                try:
                    key = self._key(place, line)
                except DocumentError as error:
                    nameless.append(place)
                    yield Entry(uri=place, read=partial(_fail, error), convert=_unreachable)
                else:
                    uri = f"{file.uri}#{key}"
                    convert = partial(self._convert, place, uri)
                    yield Entry(uri=uri, read=partial(bytes, line or b""), convert=convert, version=self._version)
        if nameless:
            told = ", ".join(nameless[:_NAMED_PLACES]) + (", …" if len(nameless) > _NAMED_PLACES else "")
            raise SourceError(
                f"{len(nameless)} records have no id that can be read ({told})",
                cure="mend these lines; until then no record is taken for deleted",
            )

    def _key(self, place: str, line: bytes | None) -> str:
        """The id of a record, as leniently as possible: what else is wrong with it is told when it is converted."""
        name = self._options.id
        if line is None:
            limit = f"{self._options.max_bytes:,}"
            raise DocumentError(f"{place}: has more bytes than max_bytes ({limit})", cure="raise `max_bytes` of the source")
        key = _record(place, line, strict=False).get(name)
        if isinstance(key, int) and not isinstance(key, bool):
            key = str(key)
        if not isinstance(key, str) or not key.strip():
            raise DocumentError(f"{place}: has no id: {name!r} is {_shown(key)}", cure="name the field that has it with `id`")
        if storable(key) != key or "\N{REPLACEMENT CHARACTER}" in key:
            raise DocumentError(f"{place}: its id cannot be stored: {key!r}")
        return key

    def _convert(self, place: str, uri: str, raw: bytes) -> Document:
        from llama_index.core.schema import Document

        record = _record(place, raw, strict=True)
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
            raise DocumentError(f"{place}: {self._options.title!r} is {_shown(title)}, and no title")
        return "" if title is None else " ".join(storable(str(title)).split())

    def _text(self, place: str, record: Mapping[str, Any]) -> str:
        """The text fields, joined by blank lines; nothing where only the title says something."""
        wanted = self._options.text
        names: Sequence[str] = (wanted,) if isinstance(wanted, str) else wanted
        parts = [record.get(name) for name in names]
        for name, part in zip(names, parts, strict=True):
            if part is not None and not isinstance(part, str):
                raise DocumentError(f"{place}: {name!r} is {_shown(part)}, and no text")
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
                raise DocumentError(f"{place}: 'metadata' is {_shown(kept)}, and no object", cure="list the fields to keep")
        else:
            kept = {name: record[name] for name in self._options.metadata if name in record}
        return {key: value for key, value in _flat(kept) if key not in _RESERVED}


def _lines(path: Path, name: str, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """The lines that hold something with their numbers from 1; None for one that is longer than `max_bytes`."""
    try:
        with _open(path) as file:
            number = 0
            while line := file.readline(max_bytes + len(b"\r\n")):
                number += 1
                content = (line.removeprefix(_BOM) if number == 1 else line).strip()
                if len(line.rstrip(b"\r\n")) > max_bytes:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(_SKIPPED_AT_ONCE)
                    yield number, None
                elif content:
                    yield number, content
    except FileNotFoundError as error:
        raise SourceError(f"{name} was deleted while it was being listed", cure="run again; nothing was removed") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{path} cannot be read to its end: {reason}", cure="mend the file; nothing was removed") from error


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _record(place: str, line: bytes, *, strict: bool) -> dict[str, Any]:
    """The object on a line. Without `strict`, wrong bytes are replaced and NaN is let through."""
    try:
        text = line.decode("utf-8", "strict" if strict else "replace")
        checks: dict[str, Any] = {"parse_constant": _refuse, "parse_float": _finite} if strict else {}
        record = json.loads(text, **checks)
    except UnicodeDecodeError as error:
        raise DocumentError(f"{place}: is not UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise DocumentError(f"{place}: is no JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{place}: is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise DocumentError(f"{place}: is {_shown(record)}, and no object")
    return record


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested objects as `outer.inner`; what is null is left out."""
    for name, value in values.items():
        key = prefix + storable(name)
        if isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        elif value is not None:
            yield key, _clean(value)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {storable(key): _clean(item) for key, item in value.items()} if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    """A JSON value in words."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "empty" if not value.strip() else "a text"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _finite(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        _refuse(written)
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number that can be stored")


def _fail(error: DocumentError) -> bytes:
    raise error


def _unreachable(raw: bytes) -> Document:
    raise DocumentError("a record that cannot be read was converted")
