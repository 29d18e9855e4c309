"""The source `web`: what is listed, and when a listing is complete."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.components import Entry
from ragkit.errors import DocumentError, DocumentGone, SourceError
from ragkit_web import files, reading
from ragkit_web.addresses import Scope, host_of, is_media, normal, origin_of
from ragkit_web.connecting import Resolve, resolve
from ragkit_web.fetching import Clock, Fetcher
from ragkit_web.pages import Page, Pages
from ragkit_web.robots import Robots
from ragkit_web.sitemaps import Sitemaps, sitemaps_of
from ragkit_web.taking import Taker, Visit

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit_web import WebOptions

_log = logging.getLogger("ragkit_web")
_SHOWN = 3


class WebSource:
    """The pages that the options name, those that a sitemap lists, and what they link to, breadth first.

    A page's URI is the address that it is found at in the end, after redirects. Listing fetches: a page that changed is kept
    as it came, and read from there; one that did not change is asked for with its `ETag`, and not sent again.
    """

    def __init__(self, options: WebOptions, folder: Path, *, resolve: Resolve = resolve, clock: Clock | None = None) -> None:
        self._options = options
        self._pages = Pages(folder)
        self._files = files.Files(options.max_seconds)
        self._resolve = resolve
        self._clock = clock or Clock()

    def __iter__(self) -> Iterator[Document]:
        """Take everything. The first page that cannot be had ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. Raises `SourceError` in the end where pages may have been missed."""
        urls, wrong = _normal(self._options.urls, self._options.tracking)
        for url, error in wrong.items():
            yield _failing(url, error)
        sitemap = self._options.sitemap
        sitemaps, refused = _normal(sitemap if isinstance(sitemap, tuple) else ())
        trusted = frozenset(map(origin_of, (*urls, *sitemaps)))
        fetcher = Fetcher(self._options, trusted, resolve=self._resolve, clock=self._clock)
        try:
            robots = Robots(fetcher, self._options.user_agent) if self._options.robots else None
            hosts = {host_of(url) for url in (*urls, *sitemaps)} if self._options.same_host else None
            scope = Scope(self._options.include, self._options.exclude, hosts)
            taker = Taker(self._options, fetcher, robots, self._pages, scope, self._clock.today)
            problems = [error.message for error in refused.values()]
            crawl = _Crawl(self._options, taker, fetcher, self._pages, scope, self._files, problems)
            if sitemap is True:
                sitemaps = crawl.sitemaps_of(urls, robots)
            yield from crawl.run(urls, sitemaps)
        finally:
            fetcher.close()


@dataclass
class _Crawl:
    """One listing. `problems` say why it is not complete; `missed` that pages may be known which it did not come to."""

    options: WebOptions
    taker: Taker
    fetcher: Fetcher
    pages: Pages
    scope: Scope
    files: files.Files
    problems: list[str] = field(default_factory=list)
    missed: bool = False
    _queue: deque[tuple[str, int, bool]] = field(default_factory=deque)
    _queued: set[str] = field(default_factory=set)
    _visited: set[str] = field(default_factory=set)
    _listed: set[str] = field(default_factory=set)
    _unasked: dict[str, int] = field(default_factory=dict)
    _full: bool = False

    def sitemaps_of(self, urls: list[str], robots: Robots | None) -> list[str]:
        """The sitemaps of the hosts of `urls`."""
        found: dict[str, None] = {}
        for origin in dict.fromkeys(map(origin_of, urls)):
            try:
                for url in sitemaps_of(f"{origin}/", self.fetcher, robots):
                    found[normal(url, f"{origin}/")] = None
            except DocumentError as error:
                self.problems.append(error.message)
            except ValueError as error:
                self.problems.append(f"{origin}/robots.txt: names a sitemap that is refused: {error}")
        return list(found)

    def run(self, urls: list[str], sitemaps: list[str]) -> Iterator[Entry]:
        """All pages. A problem is raised as a `SourceError` after them."""
        self._queued.update(urls)
        self._queue.extend((url, 0, True) for url in urls)
        self._list_sitemaps(sitemaps)
        while self._queue:
            url, level, first = self._queue.popleft()
            yield from self._come_to(url, level, first=first)
        if self._full:
            _log.warning("max_pages (%d) is reached: there are links that were not followed", self.options.max_pages)
        if self.missed and not self.problems:
            for url in self.pages.taken():
                if self.scope.wants(url):
                    yield from self._come_to(url, self.options.depth, first=False)
        self._end()

    def _list_sitemaps(self, urls: list[str]) -> None:
        sitemaps = Sitemaps(self.fetcher)
        for url in urls:
            for page in sitemaps.pages(url):
                self._add(page, url, 0)
                if self._full:
                    break
        self.problems.extend(sitemaps.problems)

    def _come_to(self, url: str, level: int, *, first: bool) -> Iterator[Entry]:
        """Visit a page and list it, unless that was done."""
        if url in self._visited or url in self._listed:
            return
        wanted = self.scope.wants(url)
        if first and not wanted and self.options.depth == 0:
            return
        if not first and self.fetcher.down(url):
            self._unasked[host_of(url)] = self._unasked.get(host_of(url), 0) + 1
            return
        known = self.pages.get(url)
        visit = self.taker.take(url, self._listed, first=first)
        self._visited.update(visit.chain)
        if visit.error is not None:
            yield from self._failed(visit, level, first=first, led_on=bool(known and known.location))
            return
        if visit.page is None or visit.page.url in self._listed:
            return
        if level < self.options.depth:
            self._follow(visit.page, level)
        if wanted or not first:
            self._listed.add(visit.page.url)
            yield self._entry(visit.page)

    def _failed(self, visit: Visit, level: int, *, first: bool, led_on: bool) -> Iterator[Entry]:
        """List a page by its failure, so that it stays; what it would have led to may be missed by that."""
        url, error = visit.chain[0], visit.error
        assert error is not None
        if level < self.options.depth and first:
            self.problems.append(error.message)
        elif not isinstance(error, DocumentGone):
            self.missed = self.missed or level < self.options.depth or led_on or len(visit.chain) > 1
        if self.scope.wants(url) or not first:
            self._listed.add(url)
            yield _failing(url, error)

    def _follow(self, page: Page, level: int) -> None:
        for link in reading.links(page.url, page.type, self.pages.body(page.url)):
            self._add(link, page.url, level + 1)

    def _add(self, link: str, base: str, level: int) -> None:
        """Put a link on the list of pages to come to, if it is wanted."""
        try:
            url = normal(link, base, self.options.tracking)
        except ValueError:
            return
        if url in self._queued or is_media(url) or not self.scope.has_host(url) or not self.scope.wants(url):
            return
        if len(self._queued) >= self.options.max_pages:
            self._full = self.missed = True
            return
        self._queued.add(url)
        self._queue.append((url, level, False))

    def _entry(self, page: Page) -> Entry:
        kind = files.kind_of(page.url, page.type)
        return Entry(
            uri=page.url,
            read=partial(self.pages.body, page.url),
            convert=partial(self.files.convert, page.url, kind) if kind else partial(reading.convert, page.url, page.type),
            stamp=page.digest,
            version=files.version(kind) if kind else reading.version(),
        )

    def _end(self) -> None:
        for host, count in self._unasked.items():
            self.problems.append(f"{host}: {count:,} pages were not asked for: {self.fetcher.down(f'http://{host}/')}")
        if self.problems:
            more = f" (and {len(self.problems) - _SHOWN:,} more)" if len(self.problems) > _SHOWN else ""
            raise SourceError(
                "; ".join(self.problems[:_SHOWN]) + more, cure="run again; until all can be reached, no page is taken for deleted"
            )
        if not self.missed:
            self.pages.keep_only(self._visited | self._listed)


def _normal(urls: Iterable[str], tracking: tuple[str, ...] = ()) -> tuple[list[str], dict[str, DocumentError]]:
    """Addresses of the configuration in their normal form, each once, and what is wrong with those that have none."""
    found: dict[str, None] = {}
    wrong: dict[str, DocumentError] = {}
    for url in urls:
        try:
            found[normal(url, tracking=tracking)] = None
        except ValueError as error:
            wrong[url] = DocumentError(f"{url}: is refused: {error}", uri=url, cure="correct `urls` of the source")
    return list(found), wrong


def _failing(url: str, error: DocumentError) -> Entry:
    return Entry(uri=url, read=partial(_fail, error), convert=partial(reading.convert, url, ""), version=reading.version())


def _fail(error: DocumentError) -> bytes:
    raise error
