"""Records of a file, one after the other: how they are read, named and listed, bad ones by themselves."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ragkit.components import Entry
from ragkit.conversion.decode import storable
from ragkit.errors import DocumentError, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

RESERVED = frozenset(("_id", "uri", "title", "format", "source", "heading", "page"))
"""Metadata keys with a meaning of their own, which no field of a record may take."""

_BOM = b"\xef\xbb\xbf"
_SKIPPED_AT_ONCE = 1 << 16
_NAMED_PLACES = 3


@dataclass(frozen=True)
class Record:
    """A record as JSON in UTF-8, with its place in the file (`:7` or `[7]`).

    `problem` says why it cannot be taken, though perhaps its id can be read; then `raw` may be empty.
    """

    place: str
    raw: bytes
    problem: str = ""
    cure: str = ""


def too_long(place: str, max_bytes: int) -> Record:
    """A record that has more than `max_bytes`."""
    return Record(place, b"", f"has more bytes than max_bytes ({max_bytes:,})", "raise `max_bytes` of the source")


def listing(
    files: Iterable[tuple[str, Iterator[Record]]],
    key_of: Callable[[str, bytes], str],
    convert: Callable[[str, str, bytes], Document],
    version: str,
) -> Iterator[Entry]:
    """The records of named files as entries. A record's URI is `file#id`; `key_of(place, raw)` reads the id.

    `convert(place, uri, raw)` makes the document. A record whose id cannot be read is listed by its place, to fail; nobody
    knows which document it was, so the listing then ends with a `SourceError`, and nothing is removed in that run.
    """
    nameless: list[str] = []
    count = 0
    for name, records in files:
        for record in records:
            place = f"{name}{record.place}"
            told = DocumentError(f"{place}: {record.problem}", cure=record.cure) if record.problem else None
            try:
                if told and not record.raw:
                    raise told
                key = key_of(place, record.raw)
            except DocumentError as error:
                count += 1
                nameless += [place] if count <= _NAMED_PLACES else []
                yield Entry(uri=place, read=partial(_fail, told or error), convert=_unreachable)
                continue
            uri = f"{name}#{key}"
            read = partial(_fail, told) if told else partial(bytes, record.raw)
            yield Entry(uri=uri, read=read, convert=partial(convert, place, uri), version=version)
    if count:
        places = ", ".join(nameless) + (", …" if count > _NAMED_PLACES else "")
        raise SourceError(
            f"{count} records have no id that can be read ({places})",
            cure="mend them; until then no record is taken for deleted",
        )


def key_text(place: str, key: Any, name: str) -> str:
    """An id as text, where it can be one."""
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if not isinstance(key, str) or not key.strip():
        raise DocumentError(f"{place}: has no id: {name!r} is {shown(key)}", cure="name the field that has it with `id`")
    if storable(key) != key or "\N{REPLACEMENT CHARACTER}" in key:
        raise DocumentError(f"{place}: its id cannot be stored: {key!r}")
    return key


def lines(path: Path, name: str, max_bytes: int) -> Iterator[Record]:
    """The lines of a JSONL file that hold something; one of them is held at a time."""
    with reading(path, name), open_file(path) as file:
        number = 0
        while line := file.readline(max_bytes + len(b"\r\n")):
            number += 1
            content = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if len(line.rstrip(b"\r\n")) > max_bytes:
                while line and not line.endswith(b"\n"):
                    line = file.readline(_SKIPPED_AT_ONCE)
                yield too_long(f":{number}", max_bytes)
            elif content:
                yield Record(f":{number}", content)


@contextmanager
def reading(path: Path, name: str) -> Iterator[None]:
    """Turns what goes wrong while `path` is read into a `SourceError`."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"{name} was deleted while it was being listed", cure="run again; nothing was removed") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{path} cannot be read to its end: {reason}", cure="mend the file; nothing was removed") from error


def open_file(path: Path) -> BufferedReader | gzip.GzipFile:
    """The bytes of a file, unpacked where it is packed with gzip."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def parsed(place: str, raw: bytes, *, strict: bool) -> dict[str, Any]:
    """The object of a record. Without `strict`, wrong bytes are replaced and NaN is let through."""
    try:
        text = raw.decode("utf-8", "strict" if strict else "replace")
        checks: dict[str, Any] = {"parse_constant": _refuse, "parse_float": _finite} if strict else {}
        record = json.loads(text, **checks)
    except UnicodeDecodeError as error:
        raise DocumentError(f"{place}: is not UTF-8 at byte {error.start + 1}") from error
    except json.JSONDecodeError as error:
        raise DocumentError(f"{place}: is no JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{place}: is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise DocumentError(f"{place}: is {shown(record)}, and no object")
    return record


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested objects as `outer.inner`; what is null is left out."""
    for name, value in values.items():
        key = prefix + storable(name)
        if isinstance(value, dict):
            yield from flat(value, f"{key}.")
        elif value is not None:
            yield key, _clean(value)


def shown(value: Any) -> str:
    """A JSON value in words."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "empty" if not value.strip() else "a text"
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {storable(key): _clean(item) for key, item in value.items()} if isinstance(value, dict) else value


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
