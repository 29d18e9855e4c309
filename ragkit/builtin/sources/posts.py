"""The source `posts`: the records of JSON, JSONL and CSV exports, with fields mapped to what documents carry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.exports import csv_records, json_records
from ragkit.builtin.sources.files import FilesSource
from ragkit.builtin.sources.records import RESERVED, Record, flat, key_text, lines, listing, parsed, shown
from ragkit.components import Entry
from ragkit.conversion.dates import moment
from ragkit.conversion.decode import storable
from ragkit.errors import DocumentError, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources.posts_options import PostsOptions

_VERSION = 1
"""Raised whenever the same record begins to give another document."""

_FORMATS = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "tsv": "csv"}
_MAPPED = ("id", "text", "text_format", "title", "author", "date", "date_format", "link", "platform", "platform_name", "metadata")


class PostsSource:
    """The posts of one file or of the files under a folder, in order; one record is held at a time.

    A record that is no good post fails by itself. Where its id cannot be read either, the listing ends with a
    `SourceError` and nothing is removed in that run.
    """

    def __init__(self, options: PostsOptions) -> None:
        self._options = options
        self._root = options.path.absolute()
        self._files = FilesSource(
            FilesOptions(path=options.path, include=options.include, hidden=options.hidden, gitignore=False)
        )
        self._texts = (options.text,) if isinstance(options.text, str) else options.text
        self._version = f"posts {_VERSION} {json.dumps(options.model_dump(include=set(_MAPPED)), sort_keys=True)}"

    def __iter__(self) -> Iterator[Document]:
        """Convert everything. The first bad record ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. A second record of the same id is listed too: telling them apart is the host's."""
        return listing(self._records(), self._key, self._convert, self._version)

    def _records(self) -> Iterator[tuple[str, Iterator[Record]]]:
        for file in self._files.entries():
            yield file.uri, self._read(self._root / file.uri if self._root.is_dir() else self._root, file.uri)

    def _read(self, path: Path, name: str) -> Iterator[Record]:
        options = self._options
        suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
        kind = options.format or _FORMATS.get(suffix)
        if kind == "jsonl":
            return lines(path, name, options.max_bytes)
        if kind == "csv":
            return csv_records(
                path, name, needed=((options.id,), self._texts), max_bytes=options.max_bytes, encoding=options.encoding,
                delimiter=options.delimiter or ("\t" if suffix == "tsv" else None),
            )  # fmt: skip
        if kind == "json":
            keys = options.records.split(".") if options.records else ()
            return json_records(path, name, keys=keys, max_bytes=options.max_bytes, encoding=options.encoding)
        raise SourceError(f"{name}: its name says nothing of its format", cure="set `format` to json, jsonl or csv")

    def _key(self, place: str, raw: bytes) -> str:
        """The id of a record, as leniently as possible: what else is wrong with it is told when it is converted."""
        name = self._options.id
        return key_text(place, field(parsed(place, raw, strict=False), name), name)

    def _convert(self, place: str, uri: str, raw: bytes) -> Document:
        from llama_index.core.schema import Document

        record, options = parsed(place, raw, strict=True), self._options
        word = partial(self._word, place, record)
        title = " ".join(word(options.title, "title").split())
        text, markup = self._text(place, record, uri)
        if not text.strip():
            if not title or not any(isinstance(field(record, name), str) for name in self._texts):
                told = " or ".join(map(repr, self._texts))
                raise DocumentError(f"{place}: has no text in {told}", cure="name the field with `text`")
            text = title
        found = {
            "author": word(options.author, "author"),
            "date": self._date(place, record),
            "link": word(options.link, "link").strip(),
            "platform": word(options.platform, "platform") or options.platform_name or "",
        }
        metadata = {
            **dict(flat({name: field(record, name) for name in options.metadata if name not in RESERVED})),
            **{name: value for name, value in found.items() if value},
            "category": "post",
            "_id": str(field(record, options.id)),
            "uri": uri,
            "title": title,
            "format": markup,
        }
        return Document(text=text, metadata=metadata, id_=uri)

    def _text(self, place: str, record: Mapping[str, Any], uri: str) -> tuple[str, str]:
        """The text fields joined by blank lines, and the format that they are in."""
        parts = [_running(place, name, field(record, name)) for name in self._texts]
        text = "\n\n".join(part for part in parts if part.strip())
        if self._options.text_format != "html":
            return text, self._options.text_format
        from ragkit.conversion.html import read_html

        content = read_html(uri, text)
        return content.text, content.format

    def _date(self, place: str, record: Mapping[str, Any]) -> str:
        name = self._options.date
        value = field(record, name) if name else None
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        found = "" if isinstance(value, dict | list | bool) else moment(value, self._options.date_format)
        if not found:
            raise DocumentError(
                f"{place}: {name!r} is no date that can be read: {str(value)[:60]!r}",
                cure="say how dates are written with `date_format`, or set `date: null`",
            )
        return found

    def _word(self, place: str, record: Mapping[str, Any], name: str | None, meaning: str) -> str:
        """A field as one short text; several, such as authors, with commas."""
        value = field(record, name) if name else None
        values = value if isinstance(value, list) else [value]
        for one in values:
            if isinstance(one, dict | list):
                raise DocumentError(
                    f"{place}: {name!r} is {shown(one)}, and no {meaning}",
                    cure=f"name a field in it, such as `{meaning}: {name}.name`, or set `{meaning}: null`",
                )
        return ", ".join(storable(str(one)) for one in values if one is not None and str(one).strip())


def field(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field, else of what is nested where its name has dots; None where there is none."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def _running(place: str, name: str, value: Any) -> str:
    """A text, or the pieces of one: texts, and objects whose `text` is one, as messengers export them."""
    pieces = value if isinstance(value, list) else [value]
    texts = [piece.get("text", "") if isinstance(piece, dict) and isinstance(value, list) else piece for piece in pieces]
    for text in texts:
        if text is not None and not isinstance(text, str):
            raise DocumentError(f"{place}: {name!r} is {shown(value)}, and no text")
    return storable("".join(text for text in texts if text))
