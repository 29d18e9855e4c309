"""The source `feed`: an RSS or Atom feed, asked for only when it changed, each entry a document."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.components import Entry
from ragkit.errors import DocumentError, SourceError
from ragkit_web import WebOptions
from ragkit_web.connecting import Resolve, resolve
from ragkit_web.fetching import Answer, Clock, Fetcher, Request
from ragkit_web.following import REDIRECTS, target
from ragkit_web.pages import Page, Pages

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit_web.feed_options import FeedOptions

_VERSION = 1
"""Raised whenever the same entry begins to give another document."""

_MOST_REDIRECTS = 5
_MOST_ENTRIES = 100_000
_MOST_FIELD = 500
_UNSTORABLE = {0: None, **dict.fromkeys(range(0xD800, 0xE000))}


class FeedSource:
    """The entries of a feed: those that it lists, then those that it listed before. An entry's URI is `feed#id`.

    A feed that cannot be had or read raises `SourceError`, so that nothing is removed.
    """

    def __init__(self, options: FeedOptions, folder: Path, *, resolve: Resolve = resolve, clock: Clock | None = None) -> None:
        self._options = options
        self._pages = Pages(folder)
        self._resolve = resolve
        self._clock = clock or Clock()

    def __iter__(self) -> Iterator[Document]:
        """Take everything. The first entry that cannot be read ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """Ask for the feed, and list its entries."""
        url, kept = self._options.url, []
        for uri, item in _items(url, self._body()):
            kept.append(uri)
            yield self._entry(self._put(uri, item))
        listed, older = set(kept), [uri for uri in self._pages.taken() if uri.startswith(f"{url}#")]
        for uri in older:
            if uri not in listed and not self._options.keep:
                self._pages.drop(uri)
            elif uri not in listed and (page := self._pages.get(uri)):
                yield self._entry(page)

    def _entry(self, page: Page) -> Entry:
        return Entry(
            uri=page.url,
            read=partial(self._pages.body, page.url),
            convert=partial(convert, page.url),
            stamp=page.digest,
            version=f"feed {_VERSION}; markdownify {version_of('markdownify')}",
        )

    def _put(self, uri: str, item: dict[str, Any]) -> Page:
        """Keep an entry, if it is new or changed."""
        body = json.dumps(item, sort_keys=True, ensure_ascii=False).encode()
        known, kind = self._pages.get(uri), "application/json"
        if known is not None and known.digest == sha256(kind.encode() + b"\n" + body).hexdigest():
            return known
        now = self._clock.today()
        return self._pages.put(Page(uri, type=kind, fetched=now, checked=now), body)

    def _body(self) -> bytes:
        """The feed as it is now, from the host or, where it did not change, from the last time."""
        options, url = self._options, self._options.url
        shared = ("user_agent", "timeout", "max_seconds", "max_bytes", "retries", "allow_private")
        asking = WebOptions(urls=(url,), **{name: getattr(options, name) for name in shared})
        fetcher = Fetcher(asking, frozenset(), resolve=self._resolve, clock=self._clock)
        try:
            known = self._pages.get(url)
            answer = _answer(fetcher, url, known, options.max_bytes)
            if answer.status == 304 and known is not None:
                self._pages.confirm(url, self._clock.today())
                return self._pages.body(url)
        except DocumentError as error:
            raise SourceError(error.message, cure=error.cure) from error
        finally:
            fetcher.close()
        if answer.status != 200:
            raise SourceError(f"{url}: the host answers HTTP {answer.status}", cure="correct the address; nothing was removed")
        _parsed(url, answer.body)
        now, headers = self._clock.today(), answer.headers
        page = Page(url, "", "feed", headers.get("etag", ""), headers.get("last-modified", ""), "", now, now)
        self._pages.put(page, answer.body)
        return answer.body


def _answer(fetcher: Fetcher, url: str, known: Page | None, max_bytes: int) -> Answer:
    """What the host says in the end."""
    current = url
    for _ in range(_MOST_REDIRECTS + 1):
        etag, modified = (known.etag, known.modified) if known else ("", "")
        answer = fetcher.get(Request(current, max_bytes, etag=etag, modified=modified))
        if answer.status not in REDIRECTS:
            return answer
        current = target(current, answer)
    raise DocumentError(f"{url}: is redirected more than {_MOST_REDIRECTS} times", uri=url)


def _parsed(url: str, body: bytes) -> Any:
    try:
        import feedparser
    except ImportError as error:
        raise SourceError(f"{url}: feedparser, which reads feeds, is not installed", cure="pip install feedparser") from error
    # a stream: feedparser would open what it takes for a file's name
    feed = feedparser.parse(io.BytesIO(body), response_headers={"content-location": url})
    if not feed.get("version") and not feed.entries:
        raise SourceError(f"{url}: is no feed", cure="give the address of an RSS or Atom feed; nothing was removed")
    return feed


def _items(url: str, body: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry with its URI, as plain data; of several with one id the first."""
    feed = _parsed(url, body)
    seen: set[str] = set()
    for entry in feed.entries[:_MOST_ENTRIES]:
        content = next((one for one in entry.get("content") or () if one.get("value")), None) or entry.get("summary_detail") or {}
        item = {
            "title": _tidy(entry.get("title")),
            "author": _tidy(", ".join(str(one.get("name") or "") for one in entry.get("authors") or ()) or entry.get("author")),
            "date": _date(entry.get("published_parsed") or entry.get("updated_parsed")),
            "link": _tidy(entry.get("link")),
            "sitename": _tidy(feed.feed.get("title")),
            "language": _tidy(content.get("language") or feed.feed.get("language")),
            "tags": [_tidy(tag.get("term")) for tag in entry.get("tags") or () if tag.get("term")],
            "plain": content.get("type") == "text/plain",
            "content": str(content.get("value") or "").translate(_UNSTORABLE),
        }
        key = _tidy(entry.get("id")) or item["link"] or sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]
        if key not in seen:
            seen.add(str(key))
            yield f"{url}#{key}", item


def convert(uri: str, raw: bytes) -> Document:
    """The document of an entry. Raises `DocumentError` where it says nothing."""
    from llama_index.core.schema import Document

    item = json.loads(raw)
    text = item["content"].strip() if item["plain"] else _markdown(item["content"])
    if not text and not item["title"]:
        raise DocumentError(f"{uri}: has neither text nor title", uri=uri)
    named = {name: item[name] for name in ("author", "date", "link", "sitename", "language", "tags") if item[name]}
    metadata = {
        **named, "category": "article", "uri": uri, "title": item["title"], "format": "text" if item["plain"] else "markdown",
    }  # fmt: skip
    return Document(text=text or item["title"], metadata=metadata, id_=uri)


def _markdown(html: str) -> str:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "lxml")
    for tag in soup(["script", "style", "iframe", "form"]):
        tag.decompose()
    converter = MarkdownConverter(
        heading_style="ATX", bullets="-", strip=["a", "img"], escape_asterisks=False, escape_underscores=False, escape_misc=False
    )
    return str(converter.convert_soup(soup)).strip()


def _date(parsed: time.struct_time | None) -> str:
    try:
        return datetime(*parsed[:6], tzinfo=UTC).isoformat() if parsed else ""
    except ValueError:
        return ""


def _tidy(value: Any) -> str:
    return " ".join(str(value or "").translate(_UNSTORABLE).split())[:_MOST_FIELD]
