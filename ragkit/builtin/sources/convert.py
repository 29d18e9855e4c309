"""From a file's bytes to a document: text, title, metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ragkit.builtin.sources.decode import BinaryError, decode
from ragkit.errors import DocumentError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

_VERSION = 1
"""Raised whenever the same bytes begin to give another document."""

_TYPES = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), "text/markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "text/html"),
    ".pdf": "application/pdf",
}
_LIBRARIES = {"text/html": ("beautifulsoup4", "markdownify"), "application/pdf": ("pypdf",)}


@dataclass(frozen=True)
class Content:
    """What a converter finds in a file. `format` is `markdown` where headings and code fences mean something, else `text`."""

    text: str
    format: str
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Converter:
    """Converts by a file's suffix; what has no converter of its own is read as plain text."""

    encoding: str | None = None
    max_pages: int = 5_000

    def version(self, uri: str) -> str:
        """Another string wherever the same bytes might become another document."""
        kind = _type_of(uri)
        libraries = [f"{name} {_installed(name)}" for name in _LIBRARIES.get(kind, ())]
        encoding = f"encoding {self.encoding}" if self.encoding and kind != "application/pdf" else ""
        return "; ".join(part for part in (f"{kind} {_VERSION}", *libraries, encoding) if part)

    def convert(self, uri: str, raw: bytes) -> Document:
        """The document that `raw` holds. Raises `DocumentError` where it holds none."""
        from llama_index.core.schema import Document

        try:
            content = self._content(uri, raw)
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
        metadata = {
            **content.metadata,
            "uri": uri,
            "title": content.title or PurePosixPath(uri).stem,
            "format": content.format,
            "file_type": _type_of(uri),
        }
        return Document(text=content.text, metadata=metadata, id_=uri)

    def _content(self, uri: str, raw: bytes) -> Content:
        kind = _type_of(uri)
        if kind == "application/pdf":
            from ragkit.builtin.sources.pdf import read_pdf

            return read_pdf(uri, raw, self.max_pages)
        if raw.startswith(b"%PDF-"):
            raise BinaryError("it is a PDF; give it the suffix .pdf")
        if kind == "text/html":
            from ragkit.builtin.sources.html import declared_encoding, read_html

            return read_html(uri, decode(raw, self.encoding, declared_encoding(raw)))
        text = decode(raw, self.encoding)
        if kind == "text/markdown":
            from ragkit.builtin.sources.markdown import read_markdown

            return read_markdown(text)
        return Content(text, "text")


def _type_of(uri: str) -> str:
    return _TYPES.get(PurePosixPath(uri).suffix.lower(), "text/plain")


@lru_cache(maxsize=8)
def _installed(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)
