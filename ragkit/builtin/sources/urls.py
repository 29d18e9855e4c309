"""The source `urls`: a list of links, each handed to the source that takes such links."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ragkit.components import BuildContext, Entry, LinkedSource, ListsEntries
from ragkit.errors import DocumentError, RagkitError, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources.urls_options import UrlsOptions

_logger = logging.getLogger(__name__)

_LINK = re.compile(r"(?:https?|ssh)://[^\s/]+\S*|[\w.-]+@[\w.-]+:\S+", re.IGNORECASE)
_SECRET = re.compile(r"(?<=://)(?:[^/@\s]*:[^/@\s]*|(?<=http://)[^/@\s]*|(?<=https://)[^/@\s]*)@")
_COMMENT = re.compile(r"(?:\A|\s)#.*", re.DOTALL)
_MOST_CHARS = 10_000
_NAMED = 3


@dataclass
class _Listing:
    """What a listing remembers of its links: those that failed, those that are pages, the pages that were listed."""

    failed: list[str]
    pages: list[str]
    listed: set[str]


class UrlsSource:
    """What links lead to, in their order. A page's URI is its address, that of a repository's file `link#path`.

    A link that cannot be listed is a failure of its own; the listing then ends with a `SourceError`, so that nothing is
    removed in that run.
    """

    def __init__(self, options: UrlsOptions, context: BuildContext) -> None:
        self._options = options
        self._context = context

    def __iter__(self) -> Iterator[Document]:
        """Read and convert everything. The first link or document that fails ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily, link by link."""
        seen = _Listing([], [], set())
        links = []
        for link in self._links():
            wrong = _wrong(link)
            if wrong is None:
                links.append(_plain(link))
            else:
                yield _failing(_masked(link), wrong, seen)
        for found in self._context.link_sources(links, {"allow_private": self._options.allow_private}):
            yield from self._found(found, seen)
        if seen.pages:
            _logger.warning(
                "%d links are taken as web pages, as no source has a pattern for them: %s", len(seen.pages), _named(seen.pages)
            )
        if seen.failed:
            raise SourceError(
                f"{len(seen.failed)} links cannot be listed ({_named(seen.failed)})",
                cure="mend them or take them out; until then nothing of this source is taken for deleted",
            )

    def _found(self, found: LinkedSource, seen: _Listing) -> Iterator[Entry]:
        """The documents of a source, or the failure of its links."""
        if found.error is not None:
            yield _failing(found.links[0], found.error, seen, found.links)
            return
        if found.fallback:
            seen.pages.extend(found.links)
        own: set[str] = set()
        try:
            for entry in _entries(found.source):
                if "://" not in entry.uri:
                    yield _within(found.links[0], entry)
                elif entry.uri in own or entry.uri not in seen.listed:  # else the same page behind several links
                    own.add(entry.uri)
                    seen.listed.add(entry.uri)
                    yield entry
        except Exception as error:  # noqa: BLE001 - a source is a plugin and may raise anything; the other links go on
            first = next((link for link in found.links if link not in seen.listed), found.links[0])
            yield _failing(first, error, seen, found.links)

    def _links(self) -> Iterator[str]:
        yield from (stripped for link in self._options.links if (stripped := link.strip()))
        if self._options.file is not None:
            yield from _lines(self._options.file)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            while line := file.readline(_MOST_CHARS):
                if link := _COMMENT.sub("", line).strip():
                    yield link
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", cure="correct the source's `file`") from error


def _wrong(link: str) -> DocumentError | None:
    """Why a link cannot be handed to any source."""
    if _SECRET.search(link):
        return DocumentError("a link must not hold a password", cure="name it as a source of its own, which takes a secret")
    try:
        fits = bool(_LINK.fullmatch(link)) and (urlsplit(link).port or True)
    except ValueError:
        fits = False
    return None if fits else DocumentError("is no link", cure="write https://…, ssh://… or git@host:path")


def _plain(link: str) -> str:
    """A link without what makes no difference: capitals in the host, and the place in the page."""
    if "://" not in link:
        return link
    parts = urlsplit(link)
    fragment = parts.fragment if parts.fragment.startswith("!") else ""
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower(), fragment=fragment).geturl()


def _masked(link: str) -> str:
    return _SECRET.sub("***@", link)[:_MOST_CHARS]


def _entries(source: Any) -> Iterator[Entry]:
    """The listing of any source."""
    if isinstance(source, ListsEntries):
        yield from source.entries()
        return
    for document in source:
        content = json.dumps([document.get_content(), document.metadata], sort_keys=True, default=str).encode()
        uri = str(document.metadata.get("uri") or document.id_)
        yield Entry(uri=uri, read=partial(bytes, content), convert=partial(_same, document))


def _same(document: Document, raw: bytes) -> Document:
    return document


def _within(link: str, entry: Entry) -> Entry:
    """A document that has an address only within what its link leads to."""
    uri = f"{link}#{entry.uri}"
    return replace(entry, uri=uri, convert=partial(_convert, entry, link, uri))


def _convert(entry: Entry, link: str, uri: str, raw: bytes) -> Document:
    document = entry.convert(raw)
    document.metadata = {"link": link, **document.metadata, "uri": uri}
    return document


def _failing(link: str, error: Exception, seen: _Listing, links: tuple[str, ...] = ()) -> Entry:
    """A link that fails, alone or for others that were to be listed with it."""
    seen.failed.extend(links or (link,))
    others = f" (and {len(links) - 1} other links)" if len(links) > 1 else ""
    told = error.message if isinstance(error, RagkitError) else f"{type(error).__name__}: {error}"
    cure = error.cure if isinstance(error, RagkitError) else ""
    return Entry(uri=link, read=partial(_fail, DocumentError(f"{told}{others}", uri=link, cure=cure)), convert=_unreachable)


def _fail(error: DocumentError) -> bytes:
    raise error


def _unreachable(raw: bytes) -> Document:
    raise DocumentError("a link that failed was converted")


def _named(links: list[str]) -> str:
    return ", ".join(links[:_NAMED]) + (", …" if len(links) > _NAMED else "")
