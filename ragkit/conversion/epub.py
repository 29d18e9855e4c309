"""Books in EPUB: their chapters go through the converter of HTML pages."""

from __future__ import annotations

import posixpath
import re
import zipfile
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from ragkit.conversion.convert import Content
from ragkit.conversion.dates import iso_date
from ragkit.conversion.decode import decode
from ragkit.conversion.html import declared_encoding, read_html
from ragkit.conversion.packages import dublin_core, open_package, parse
from ragkit.errors import DocumentError

_OPF = "{http://www.idpf.org/2007/opf}"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_INNER_LINK = re.compile(r"\[([^\]\n]*)\]\((?!https?:)[^)\s]*\)")


def read_epub(uri: str, raw: bytes) -> Content:
    """The chapters in reading order as Markdown, with what the package says of itself (EPUB 3.3, section 5).

    Raises `DocumentError` for a book without chapters or with copy protection.
    """
    with open_package(uri, raw) as book:
        if "META-INF/rights.xml" in book.namelist():
            raise DocumentError(f"{uri}: is protected against copying (DRM)", uri=uri, cure="get it without protection")
        root = parse(uri, book, "META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
        place = root.get("full-path", "") if root is not None else ""
        package = parse(uri, book, place)
        title, metadata = _properties(package)
        chapters = [_chapter(uri, book, name) for name in _reading_order(package, place) if name in book.NameToInfo]
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    if not text:
        raise DocumentError(f"{uri}: the book has no text", uri=uri)
    return Content(text, "markdown", title, metadata)


def _chapter(uri: str, book: zipfile.ZipFile, name: str) -> str:
    raw = book.read(name)
    text = read_html(uri, decode(raw, declared=declared_encoding(raw))).text
    return _INNER_LINK.sub(r"\1", text)  # to files that only the book has


def _reading_order(package: Element, place: str) -> list[str]:
    manifest = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    items = [manifest.get(reference.get("idref")) for reference in package.iter(f"{_OPF}itemref")]
    found = [item for item in items if item is not None and "nav" not in (item.get("properties") or "").split()]
    folder = posixpath.dirname(place)
    return [posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "")))) for item in found]


def _properties(package: Element) -> tuple[str, dict[str, Any]]:
    found = dublin_core(package)
    values = {
        "author": "; ".join(found.get("creator", ())),
        "date": iso_date(next(iter(found.get("date", ())), "")),
        "language": next(iter(found.get("language", ())), ""),
    }
    return next(iter(found.get("title", ())), ""), {key: value for key, value in values.items() if value}
