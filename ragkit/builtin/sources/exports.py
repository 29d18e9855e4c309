"""Records of exports, read piece by piece: the elements of a list in a JSON file, the rows of a CSV file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from ragkit.builtin.sources.records import Record, open_file, reading, too_long
from ragkit.conversion.decode import BOMS
from ragkit.conversion.tables import delimiter_of
from ragkit.errors import SourceError

_AT_ONCE_CHARS = 1 << 18
_SAMPLE_CHARS = 20_000
_SPACE = " \t\n\r"
_QUOTE = "look for a quote that is missing, or raise `max_bytes` of the source"


def json_records(path: Path, name: str, *, keys: Sequence[str], max_bytes: int, encoding: str | None) -> Iterator[Record]:
    """The elements of the list at `keys`; without keys, of the file itself or of the first list in its object.

    One element is held at a time. Behind one that is no JSON nobody knows where the next begins: `SourceError`.
    """
    with reading(path, name), _text(path, encoding) as file:
        scanner = _Scanner(file, name, max_bytes)
        scanner.enter_list(keys)
        number = 0
        while scanner.peek() != "]":
            raw = scanner.value(f"[{number}]").encode("utf-8", "surrogateescape")
            yield Record(f"[{number}]", raw) if len(raw) <= max_bytes else too_long(f"[{number}]", max_bytes)
            number += 1
            if scanner.peek() != "]":
                scanner.expect(",", f"after [{number - 1}]")


def csv_records(
    path: Path, name: str, *, needed: Sequence[Sequence[str]], max_bytes: int, encoding: str | None, delimiter: str | None
) -> Iterator[Record]:
    """The rows of a CSV file under the names of its header; of each group of `needed` columns one has to be there."""
    # for the whole process: Python knows no limit for one reader alone
    csv.field_size_limit(max(csv.field_size_limit(), max_bytes))
    with reading(path, name):
        if delimiter is None:
            with _text(path, encoding) as file:
                delimiter = delimiter_of(file.read(_SAMPLE_CHARS))
        with _text(path, encoding) as file:
            pieces = _Pieces(file, max_bytes)
            rows = csv.reader(pieces, delimiter=delimiter)
            header = _header(rows, name)
            for group in needed:
                if not set(group) & set(header):
                    told = f"{name}: has no column {' or '.join(map(repr, group))}, but: {', '.join(header)[:300] or 'none'}"
                    raise SourceError(told, cure="name the columns in the source's options; nothing was removed")
            while True:
                place, pieces.fed = f":{rows.line_num + 1}", 0
                try:
                    row = next(rows, None)
                except csv.Error as error:
                    yield Record(place, b"", f"is no row of CSV: {error}", _QUOTE)
                    continue
                if row is None:
                    return
                if any(row):
                    yield _row(place, header, row, max_bytes)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    try:
        return [column.strip() for column in next(rows, ())]
    except csv.Error as error:
        raise SourceError(f"{name}: its header is no row of CSV: {error}", cure=f"{_QUOTE}; nothing was removed") from error


def _row(place: str, header: Sequence[str], row: Sequence[str], max_bytes: int) -> Record:
    pairs = list(zip(header, row, strict=False))
    raw = json.dumps(dict(reversed(pairs)), ensure_ascii=False).encode("utf-8", "surrogateescape")
    if len(raw) > max_bytes:
        return too_long(place, max_bytes)
    if len(row) != len(header):
        return Record(place, raw, f"has {len(row)} cells, and the header has {len(header)}", _QUOTE)
    return Record(place, raw)


class _Pieces:
    """The lines of a file; a row of more than `most` characters ends with an error, and the line after it begins another."""

    def __init__(self, file: TextIO, most: int) -> None:
        self._file = file
        self._most = most
        self.fed = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._most)
        if not line:
            raise StopIteration
        self.fed += len(line)
        if self.fed > self._most:
            raise csv.Error(f"it has more than max_bytes ({self._most:,})")
        return line


def _text(path: Path, encoding: str | None) -> TextIOWrapper:
    """A file as text. Bytes that are no UTF-8 are kept as lone surrogates, which make their record fail."""
    if encoding is None:
        with open_file(path) as file:
            head = file.read(4)
        encoding = next((name for mark, name in BOMS if head.startswith(mark)), "utf-8")
        encoding = {"utf-8": "utf-8-sig"}.get(encoding, encoding.removesuffix("-le").removesuffix("-be"))
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    return TextIOWrapper(open_file(path), encoding, errors, newline="")


class _Scanner:
    """Reads JSON from a file value by value."""

    def __init__(self, file: TextIO, name: str, most: int) -> None:
        self._file = file
        self._name = name
        self._most = most
        self._buffer = ""
        self._at = 0
        self._ended = False
        # what is read here is only measured: numbers are not made
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

    def peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._buffer):
                character = self._buffer[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if not self._more():
                return ""

    def expect(self, character: str, where: str) -> None:
        """Pass over `character`, which has to come next."""
        found = self.peek()
        if found != character:
            told = "ends" if not found else f"has {found!r} in place of {character!r}"
            raise self._broken(f"{told} {where}")
        self._at += 1

    def value(self, where: str) -> str:
        """Pass over a value; returns how it is written."""
        self.peek()
        end = self._at
        while True:
            try:
                _, end = self._decoder.raw_decode(self._buffer, self._at)
                if end < len(self._buffer):
                    break
                if not self._more():  # a number may go on
                    end = len(self._buffer)
                    break
            except RecursionError as error:
                raise self._broken(f"is nested too deeply at {where}") from error
            except json.JSONDecodeError as error:
                if len(self._buffer) - self._at > self._most:
                    told = f"has at {where} more than max_bytes ({self._most:,}), or what is no JSON: {error.msg}"
                    raise self._broken(told, "raise `max_bytes` of the source, or mend the file") from error
                if not self._more():
                    raise self._broken(f"is no JSON at {where}: {error.msg}") from error
        written = self._buffer[self._at : end]
        self._at = end
        return written

    def enter_list(self, keys: Sequence[str]) -> None:
        """Go to the first element of the list at `keys`, else of the first list there is."""
        for key in keys:
            self._enter_value(key)
        if self.peek() != "[" and not keys:
            self._enter_value(None)
        if self.peek() != "[":
            raise self._no_list(f"{'.'.join(keys)!r} is no list" if keys else "is no list")
        self._at += 1

    def _enter_value(self, wanted: str | None) -> None:
        """Go to the value of the key `wanted` in the object that comes next; None wants a list."""
        if self.peek() != "{":
            raise self._no_list(f"has no object with {wanted!r}" if wanted else "is neither a list nor an object")
        self._at += 1
        while self.peek() not in ("}", ""):
            key: Any = json.loads(self.value("a key"))
            self.expect(":", f"after {key!r}")
            if key == wanted or (wanted is None and self.peek() == "["):
                self.peek()
                return
            self.value(repr(key))
            if self.peek() != "}":
                self.expect(",", f"after {key!r}")
        raise self._no_list(f"has no key {wanted!r}" if wanted else "has no list among its keys")

    def _more(self) -> bool:
        """Read on; as much again as is held, so that a long value is not looked at too often."""
        if self._ended:
            return False
        self._buffer = self._buffer[self._at :]
        self._at = 0
        piece = self._file.read(max(_AT_ONCE_CHARS, len(self._buffer)))
        self._ended = not piece
        self._buffer += piece
        return bool(piece)

    def _broken(self, told: str, cure: str = "mend the file") -> SourceError:
        return SourceError(f"{self._name}: {told}", cure=f"{cure}; nothing was removed")

    def _no_list(self, told: str) -> SourceError:
        cure = "name the key that holds the records with `records`, or set `format: jsonl` for a record on every line"
        return SourceError(f"{self._name}: {told}", cure=cure)
