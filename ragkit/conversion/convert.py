"""From a file's bytes to a document: text, title, metadata."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ragkit.conversion import formats
from ragkit.conversion.decode import BinaryError, decode
from ragkit.errors import DocumentError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.conversion.workers import Workers

_VERSION = 2
"""Raised whenever the same bytes begin to give another document."""

_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    formats.HTML: ("beautifulsoup4", "markdownify"),
    formats.PDF: ("pypdf",),
    formats.EPUB: ("beautifulsoup4", "markdownify"),
    formats.DOCX: ("markitdown", "mammoth"),
    formats.PPTX: ("markitdown", "python-pptx"),
    formats.XLSX: ("openpyxl",),
}


@dataclass(frozen=True)
class Content:
    """What a converter finds in a file. `format` is `markdown` where headings and code fences mean something, else `text`."""

    text: str
    format: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Converter:
    """Converts by a file's name, and containers (PDF, Office, EPUB) by what is in them.

    What has no converter of its own is read as plain text. With `workers`, containers are converted in processes of their
    own, which end where a document takes too much time or memory.
    """

    encoding: str | None = None
    max_pages: int = 5_000
    workers: Workers | None = None

    def version(self, uri: str) -> str:
        """Another string wherever the same bytes might become another document."""
        return _version(formats.type_of(uri), formats.programming_language(uri), self.encoding)

    def convert(self, uri: str, raw: bytes) -> Document:
        """The document that `raw` holds. Raises `DocumentError` where it holds none."""
        from llama_index.core.schema import Document

        kind, language = formats.type_of(uri), formats.programming_language(uri)
        content = self._content(uri, raw, kind)
        metadata = {
            **content.metadata,
            "uri": uri,
            "title": content.title or (PurePosixPath(uri).name if language else PurePosixPath(uri).stem),
            "format": content.format,
            "file_type": kind,
        }
        if language:
            metadata["programming_language"] = language
        return Document(text=content.text, metadata=metadata, id_=uri)

    def _content(self, uri: str, raw: bytes, kind: str) -> Content:
        if kind in formats.CONTAINERS:
            return self.workers.convert(uri, raw, self.max_pages) if self.workers else read_container(uri, raw, self.max_pages)
        try:
            return _read_text(uri, raw, kind, self.encoding)
        except BinaryError as error:
            raise DocumentError(
                f"{uri}: looks binary: {error}", uri=uri, cure="leave it out with `exclude` of the source"
            ) from error
        except UnicodeError as error:
            raise DocumentError(
                f"{uri}: is not in the encoding {self.encoding}: {error}",
                uri=uri,
                cure="leave `encoding` of the source out to have it found out",
            ) from error


def read_container(uri: str, raw: bytes, max_pages: int, declared: str = "") -> Content:
    """The content of a PDF, an Office document or an EPUB, whatever its name says. Raises `DocumentError`.

    `declared` is the format that it is said to have, by default by its name.
    """
    from ragkit.conversion import packages

    declared = declared or formats.type_of(uri)
    if not raw.strip(b"\0"):
        raise DocumentError(f"{uri}: is empty, and is not {_NAMES[declared]}", uri=uri, cure="copy it again")
    kind = packages.kind_of(uri, raw)
    if kind is None and declared != formats.PDF:  # a PDF may have some bytes before its start
        raise DocumentError(f"{uri}: is not {_NAMES[declared]}", uri=uri, cure="give it the suffix of what it is")
    try:
        return _container_reader(kind or declared, max_pages)(uri, raw)
    except DocumentError:
        raise
    except ImportError as error:
        raise DocumentError(
            f"{uri}: {error.name or 'a package'}, which reads {_NAMES[declared]}, is not installed",
            uri=uri,
            cure="pip install 'ragkit[documents]'",
        ) from error
    except MemoryError as error:
        raise DocumentError(f"{uri}: takes too much memory", uri=uri, cure="split it, or save it in a simpler format") from error
    except zipfile.BadZipFile as error:
        raise DocumentError(f"{uri}: the package is broken: {error}", uri=uri, cure="copy it again") from error
    except Exception as error:  # on broken files the libraries raise whatever they stumble over: KeyError, ValueError…
        reason = f"{type(error).__name__}: {error}"[:300]
        raise DocumentError(f"{uri}: cannot be read as {_NAMES[kind or declared]}; it is broken: {reason}", uri=uri) from error


_NAMES: Mapping[str, str] = {
    formats.PDF: "a PDF",
    formats.DOCX: "a Word document",
    formats.PPTX: "a PowerPoint presentation",
    formats.XLSX: "an Excel workbook",
    formats.EPUB: "a book in EPUB",
}


def _container_reader(kind: str, max_pages: int) -> Callable[[str, bytes], Content]:
    if kind == formats.PDF:
        from ragkit.conversion.pdf import read_pdf

        return lambda uri, raw: read_pdf(uri, raw, max_pages)
    if kind == formats.EPUB:
        from ragkit.conversion.epub import read_epub

        return read_epub
    from ragkit.conversion import office

    return {formats.DOCX: office.read_docx, formats.PPTX: office.read_pptx, formats.XLSX: office.read_xlsx}[kind]


def _read_text(uri: str, raw: bytes, kind: str, encoding: str | None) -> Content:
    if raw.startswith(b"%PDF-"):
        raise BinaryError("it is a PDF; give it the suffix .pdf")
    if raw.startswith(b"PK\x03\x04"):
        raise BinaryError("it is a ZIP archive; an Office document or a book needs its own suffix (.docx, .epub…)")
    if kind == formats.HTML:
        from ragkit.conversion.html import declared_encoding, read_html

        return read_html(uri, decode(raw, encoding, declared_encoding(raw)))
    text = decode(raw, encoding)
    if kind == formats.MARKDOWN:
        from ragkit.conversion.markdown import read_markdown

        return read_markdown(text)
    if kind in (formats.CSV, formats.TSV):
        from ragkit.conversion.tables import read_csv

        return Content(read_csv(text, "\t" if kind == formats.TSV else ""), "markdown")
    if kind in (formats.JSON, formats.JSONL, formats.NOTEBOOK):
        from ragkit.conversion import structured

        readers = {formats.JSON: structured.read_json, formats.JSONL: structured.read_jsonl}
        return readers.get(kind, structured.read_notebook)(text)
    return Content(text, "text")


@lru_cache(maxsize=256)
def _version(kind: str, language: str, encoding: str | None) -> str:
    libraries = [f"{name} {_installed(name)}" for name in _LIBRARIES.get(kind, ())]
    told = f"encoding {encoding}" if encoding and kind not in formats.CONTAINERS else ""
    return "; ".join(part for part in (f"{kind} {_VERSION}", language, *libraries, told) if part)


def _installed(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
