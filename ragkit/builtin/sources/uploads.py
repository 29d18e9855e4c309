"""The source `uploads`: files that somebody handed over, kept compressed in a folder of ragkit's own.

A file on disk is called after the hash of its name, never after the name itself, which stands in its first line. It
takes its place with a rename, so that a crash leaves the old file or the new one, whole. What is taken back is first
marked as gone, so that an ingest finishes what a crash has left undone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.builtin.sources.ignoring import matcher
from ragkit.components import Entry
from ragkit.conversion import formats
from ragkit.conversion.convert import Converter
from ragkit.conversion.workers import Workers
from ragkit.errors import DocumentError, DocumentGone

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources.uploads_options import UploadsOptions

_KEPT, _GONE = ".upload", ".gone"
_NAME_CHARS = 200
_HEADER_BYTES = 4_096
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class UploadsSource:
    """The files that were uploaded. A document's URI is the file's name, without any folders."""

    def __init__(self, folder: Path, options: UploadsOptions) -> None:
        self._folder = folder
        self._options = options
        self._takes = matcher(formats.INCLUDE)
        self._converter = Converter(max_pages=options.max_pages, workers=Workers(options.timeout))

    def __iter__(self) -> Iterator[Document]:
        """Read and convert everything."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """Everything that was uploaded, and as gone what was taken back since."""
        for path in sorted(self._folder.iterdir()):
            if path.suffix in (_KEPT, _GONE) and (name := _name_of(path)):
                yield self._entry(name)

    def keep(self, name: str, raw: bytes) -> Entry:
        """Keep a file, in place of one of that name. Raises `DocumentError` for one that is refused or cannot be read.

        Nothing is changed then. The entry that it gives does not convert anew.
        """
        uri = self._checked(name, raw)
        document = self._converted(uri, raw)
        path = self._path(uri)
        if not path.exists() and sum(item.suffix == _KEPT for item in self._folder.iterdir()) >= self._options.max_files:
            raise DocumentError(
                f"{uri}: there are {self._options.max_files:,} uploads already",
                uri=uri,
                cure="delete some, or raise `max_files` of the source `uploads`",
            )
        header = json.dumps({"name": uri}).encode() + b"\n"
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
            try:
                file.write(header + zlib.compress(raw))
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        path.with_suffix(_GONE).unlink(missing_ok=True)
        return replace(self._entry(uri), read=lambda: raw, convert=lambda _: document)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self._path(name).exists()

    def mark_gone(self, uri: str) -> Entry:
        """Take a file back: what it gives from now on is `DocumentGone`."""
        path = self._path(uri)
        if path.exists():
            path.replace(path.with_suffix(_GONE))
        return self._entry(uri)

    def forget(self, uri: str) -> None:
        """Remove the mark, when nothing of the file is left anywhere else."""
        self._path(uri).with_suffix(_GONE).unlink(missing_ok=True)

    def _converted(self, uri: str, raw: bytes) -> Document:
        try:
            return self._converter.convert(uri, raw)
        except DocumentError as error:  # its cures are those of a folder, from which a file can be left out
            cure = "upload another file" if "exclude" in error.cure else error.cure
            raise type(error)(error.message, uri=uri, cure=cure) from error

    def _entry(self, uri: str) -> Entry:
        path = self._path(uri)
        return Entry(
            uri=uri,
            read=partial(_read, path, uri, self._options.max_bytes),
            convert=partial(self._converter.convert, uri),
            stamp=_stamp(path),
            version=self._converter.version(uri),
        )

    def _path(self, uri: str) -> Path:
        return self._folder / f"{hashlib.sha256(uri.encode('utf-8', 'replace')).hexdigest()[:40]}{_KEPT}"

    def _checked(self, name: str, raw: bytes) -> str:
        """The file's own name, or `DocumentError`."""
        bare = _NO_NAME.sub("", unicodedata.normalize("NFC", name)).replace("\\", "/").rpartition("/")[2].strip(" .")
        if not bare or len(bare) > _NAME_CHARS:
            raise DocumentError(
                f"{name[:60]!r} is no name for a file", cure=f"give it one of 1 to {_NAME_CHARS} characters, such as report.pdf"
            )
        if not self._takes(bare.lower()):
            raise DocumentError(
                f"{bare}: files of this kind are not taken",
                uri=bare,
                cure="upload text, Markdown, HTML, PDF, Office documents, tables, notebooks or source code",
            )
        if len(raw) > self._options.max_bytes:
            raise DocumentError(
                f"{bare}: has {len(raw):,} bytes, more than max_bytes ({self._options.max_bytes:,})",
                uri=bare,
                cure="upload a smaller file, or raise `max_bytes` of the source `uploads`",
            )
        if not raw.strip():
            raise DocumentError(f"{bare}: is empty", uri=bare, cure="choose a file with something in it")
        return bare


def _name_of(path: Path) -> str:
    """The name in a file's first line; nothing where it is not one of ours."""
    try:
        with path.open("rb") as file:
            header: Any = json.loads(file.readline(_HEADER_BYTES))
        return str(header["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _stamp(path: Path) -> str | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return f"{info.st_size}:{info.st_mtime_ns}:{info.st_ino}"


def _read(path: Path, uri: str, max_bytes: int) -> bytes:
    """What was uploaded."""
    try:
        with path.open("rb") as file:
            file.readline(_HEADER_BYTES)
            packed = file.read()
    except FileNotFoundError as error:
        raise DocumentGone(f"{uri}: was taken back", uri=uri) from error
    except OSError as error:
        raise DocumentError(f"{uri}: cannot be read: {error.strerror}", uri=uri) from error
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise DocumentError(f"{uri}: what was kept of it is damaged: {error}", uri=uri, cure="upload it again") from error
    if len(raw) > max_bytes:
        raise DocumentError(
            f"{uri}: has more bytes than max_bytes ({max_bytes:,})", uri=uri, cure="raise `max_bytes` of the source `uploads`"
        )
    return raw
