"""What a page says: its text, its title and metadata, and where it links to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from copy import deepcopy
from functools import cache
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import lxml.html
from bs4.dammit import UnicodeDammit
from lxml import etree

from ragkit.errors import DocumentError
from ragkit_web.files import kind_of

if TYPE_CHECKING:
    from llama_index.core.schema import Document

_VERSION = 1
"""Raised whenever the same page begins to give another document."""

_HTML = frozenset(("text/html", "application/xhtml+xml"))
_PLAIN = frozenset(("text/plain", "text/markdown", "text/x-markdown"))
_METADATA = ("author", "date", "description", "sitename")
_MAX_LINKS = 100_000
_MAX_FIELD = 500
_MIN_CHARS = 60
_MAX_TAGS = 150_000
"""With more of them, finding the main part takes seconds and hundreds of megabytes; then all text is taken, as it stands."""

_UNSTORABLE = {0: None, **dict.fromkeys(range(0xD800, 0xE000))}


def refuse(url: str, content_type: str, *, files: bool) -> str:
    """Why a page of this type is not taken, or nothing. One without a type is taken for HTML; `files` are taken, too."""
    kind = _kind(content_type)
    is_file = bool(kind_of(url, content_type))
    if not kind or kind in _HTML or kind in _PLAIN or (is_file and files):
        return ""
    return f"is {kind[:100]}, and no page of text" + ("; `files: true` takes it" if is_file else "")


@cache
def version() -> str:
    """Another string wherever the same page might become another document."""
    return f"web {_VERSION}; trafilatura {version_of('trafilatura')}; lxml {version_of('lxml')}"


def links(url: str, content_type: str, body: bytes) -> Iterator[str]:
    """Where an HTML page links to, absolute, in order."""
    has_links = _kind(content_type) not in _PLAIN and not kind_of(url, content_type)
    tree = _tree(_decoded(content_type, body)) if has_links else None
    if tree is None:
        return
    bases = tree.xpath("//base[@href]/@href")
    try:
        base = urljoin(url, str(bases[0]).strip()) if bases else url
    except ValueError:
        base = url
    for number, element in enumerate(tree.iter("a", "area")):
        if number >= _MAX_LINKS:
            return
        href = str(element.get("href") or "").strip()
        if href and not href.startswith("#"):
            try:
                yield urljoin(base, href)
            except ValueError:  # such as a host in brackets that is no address
                continue


def convert(url: str, content_type: str, body: bytes) -> Document:
    """The document of a page: its main text as Markdown, without menus and the like. Raises `DocumentError`."""
    from llama_index.core.schema import Document

    text = _decoded(content_type, body)
    kind = _kind(content_type)
    if kind in _PLAIN:
        content, title = text.strip(), _first_heading(text) if kind != "text/plain" else ""
        metadata: dict[str, Any] = {"format": "text" if kind == "text/plain" else "markdown"}
    else:
        content, title, metadata = _from_html(url, text)
    if not content.strip():
        raise DocumentError(f"{url}: has no text; perhaps a script fetches it", uri=url, cure="leave it out with `exclude`")
    shown = title or url.rstrip("/").rpartition("/")[2]
    return Document(text=content, metadata={"category": "article", **metadata, "uri": url, "title": shown}, id_=url)


def _from_html(url: str, html: str) -> tuple[str, str, dict[str, Any]]:
    import trafilatura

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    tree = _tree(html)
    if tree is None:
        return "", "", {}
    content = _main_text(url, html) if html.count("<") <= _MAX_TAGS else None
    found = trafilatura.extract_metadata(html, default_url=url, date_config={"original_date": True, "extensive_search": False})
    metadata: dict[str, Any] = {"format": "markdown" if content else "text"}
    for name in _METADATA:
        value = _tidy(getattr(found, name, None))
        if value and not (name == "sitename" and value in url):
            metadata[name] = value
    if language := _tidy(tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang") or tree.get("xml:lang")):
        metadata["language"] = language
    canonical = next(iter(tree.xpath("//link[@rel='canonical']/@href")), "")
    if canonical and (other := _joined(url, str(canonical))) != url:
        metadata["canonical"] = other
    return content or trafilatura.html2txt(html), _tidy(getattr(found, "title", None)), metadata


def _main_text(url: str, html: str) -> str | None:
    import trafilatura

    return trafilatura.extract(
        html,
        url=url,
        output_format="markdown",
        include_comments=False,
        include_links=False,
        config=_settings(),
    )


@cache
def _settings() -> ConfigParser:
    """Trafilatura's settings, but a main part may be short: else the menus of short pages are taken with it."""
    from trafilatura.settings import DEFAULT_CONFIG

    settings = deepcopy(DEFAULT_CONFIG)
    settings.set("DEFAULT", "MIN_EXTRACTED_SIZE", str(_MIN_CHARS))
    settings.set("DEFAULT", "MAX_FILE_SIZE", str(sys.maxsize))  # the source's own limit is `max_bytes`
    return settings


def _joined(url: str, other: str) -> str:
    try:
        return urljoin(url, other.strip())[: 4 * _MAX_FIELD]
    except ValueError:
        return url


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _decoded(content_type: str, body: bytes) -> str:
    """The text of a page. What is valid UTF-8 is that, whatever the page or its host says."""
    declared = [part.partition("=")[2].strip(" \"'") for part in content_type.split(";") if "charset" in part.lower()]
    first = [] if b"\0" in body[:1_000] else ["utf-8"]
    html = _kind(content_type) not in _PLAIN
    told = UnicodeDammit(body, known_definite_encodings=first, user_encodings=declared, is_html=html)
    text = told.unicode_markup if told.unicode_markup is not None else body.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_UNSTORABLE)


def _tree(html: str) -> Any:
    """The page's root element; None where there is none."""
    try:
        # bytes, since lxml refuses text that declares an encoding
        parser = lxml.html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True)
        return lxml.html.document_fromstring(html.encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def _first_heading(markdown: str) -> str:
    return next((line.lstrip("# ").strip() for line in markdown.splitlines() if line.startswith("# ")), "")


def _tidy(value: Any) -> str:
    return " ".join(str(value or "").split())[:_MAX_FIELD]
