"""PDFs, Office documents and books that a host sends instead of a page: read as the source `files` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ragkit.conversion.convert import Converter
from ragkit.conversion.formats import CONTAINERS, DOCX, EPUB, PDF, PPTX, XLSX, type_of
from ragkit.conversion.workers import Workers

if TYPE_CHECKING:
    from llama_index.core.schema import Document

_VERSION = 1
"""Raised whenever the same file begins to give another document."""

_SUFFIXES: Mapping[str, str] = {PDF: ".pdf", DOCX: ".docx", PPTX: ".pptx", XLSX: ".xlsx", EPUB: ".epub"}
_OTHER_NAMES: Mapping[str, str] = {"application/x-pdf": PDF}
_TELLS_NOTHING = frozenset(("application/octet-stream", "binary/octet-stream", "application/force-download"))


def kind_of(url: str, content_type: str) -> str:
    """Which of these formats it has: as its content type says, or, where that tells nothing, its name; else nothing."""
    told = content_type.partition(";")[0].strip().lower()
    kind = type_of(urlsplit(url).path) if told in _TELLS_NOTHING else _OTHER_NAMES.get(told, told)
    return kind if kind in CONTAINERS else ""


def version(kind: str) -> str:
    """Another string wherever the same bytes might become another document."""
    return f"web file {_VERSION}; {Converter().version(f'it{_SUFFIXES[kind]}')}"


class Files:
    """Converts them in processes of their own, which end where a file takes more than `max_seconds`, or too much memory."""

    def __init__(self, max_seconds: float) -> None:
        self._workers = Workers(max_seconds, "max_seconds")

    def convert(self, url: str, kind: str, body: bytes) -> Document:
        """The document that `body` holds. Raises `DocumentError` where it holds none."""
        from llama_index.core.schema import Document

        content = self._workers.convert(url, body, Converter.max_pages, kind)
        name = PurePosixPath(unquote(urlsplit(url).path)).name.removesuffix(_SUFFIXES[kind])
        metadata = {"category": "article", **content.metadata, "format": content.format, "file_type": kind}
        return Document(text=content.text, metadata={**metadata, "uri": url, "title": content.title or name}, id_=url)
