"""Sitemaps: the pages that a host lists (sitemaps.org), in XML, as an index of such files, or as lines."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lxml import etree

from ragkit.errors import DocumentError
from ragkit_web.addresses import normal, origin_of
from ragkit_web.bodies import BodyError, gunzip
from ragkit_web.following import follow

if TYPE_CHECKING:
    from ragkit_web.fetching import Fetcher
    from ragkit_web.robots import Robots

_MAX_BYTES = 52_428_800
"""A sitemap's own limit, unpacked (sitemaps.org, protocol)."""

_MAX_FILES = 5_000
_MAX_DEPTH = 3


def sitemaps_of(url: str, fetcher: Fetcher, robots: Robots | None) -> Iterable[str]:
    """Where the host of `url` has sitemaps: as its `robots.txt` says, else at the usual place."""
    usual = f"{origin_of(url)}/sitemap.xml"
    if robots is None:
        return [usual]
    return robots.sitemaps(url) or [usual]


@dataclass
class Sitemaps:
    """Reads sitemaps, those that an index names included. `problems` are those that could not be read."""

    fetcher: Fetcher
    problems: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def pages(self, url: str, depth: int = 0) -> Iterator[str]:
        """The addresses that the sitemap at `url` lists, as they stand there."""
        if url in self._seen:
            return
        if len(self._seen) >= _MAX_FILES or depth > _MAX_DEPTH:
            self.problems.append(f"{url}: one sitemap too many: {_MAX_FILES:,} files, {_MAX_DEPTH} levels")
            return
        self._seen.add(url)
        try:
            found, body = self._read(url)
            for kind, location in _locations(url, body):
                if kind == "url":
                    yield location
                else:
                    yield from self._index_entry(found, location, depth)
        except DocumentError as error:
            self.problems.append(error.message)

    def _index_entry(self, base: str, location: str, depth: int) -> Iterator[str]:
        try:
            url = normal(location, base)
        except ValueError as error:
            self.problems.append(f"{base}: names a sitemap that is refused: {error}")
            return
        yield from self.pages(url, depth + 1)

    def _read(self, url: str) -> tuple[str, bytes]:
        found, answer = follow(self.fetcher, url, _MAX_BYTES)
        if answer.status != 200:
            raise DocumentError(f"{url}: the host answers HTTP {answer.status} for the sitemap", uri=url)
        try:
            return found, gunzip(answer.body, _MAX_BYTES)
        except BodyError as error:
            raise DocumentError(f"{url}: the sitemap {error.reason}", uri=url) from error


def _locations(url: str, body: bytes) -> Iterator[tuple[str, str]]:
    """Each `loc` with the name of the element that it stands in: `url` or `sitemap`."""
    text = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"http://", b"https://")):
        for line in text.decode("utf-8", "replace").splitlines():
            if line.strip():
                yield "url", line.strip()
        return
    try:
        # neither entities nor anything outside is read
        events = etree.iterparse(
            io.BytesIO(text), events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        for _, element in events:
            name = etree.QName(element).localname if isinstance(element.tag, str) else ""
            parent = element.getparent()
            if name == "loc" and parent is not None and (location := "".join(element.itertext()).strip()):
                kind = etree.QName(parent).localname
                if kind in ("url", "sitemap"):
                    yield kind, location
            elif name in ("url", "sitemap"):
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        root = etree.QName(events.root).localname
    except etree.XMLSyntaxError as error:
        raise DocumentError(f"{url}: the sitemap is no XML: {error.msg}", uri=url) from error
    if root not in ("urlset", "sitemapindex"):
        raise DocumentError(f"{url}: is no sitemap, but <{root[:50]}>", uri=url)
