"""Takes a page: follows its redirects, obeys the rules of every host on the way, and asks only for what changed."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ragkit.errors import DocumentError, DocumentGone
from ragkit_web import reading
from ragkit_web.addresses import Scope, host_of
from ragkit_web.fetching import Answer, Request
from ragkit_web.following import REDIRECTS, target
from ragkit_web.pages import Page

if TYPE_CHECKING:
    from ragkit_web import WebOptions
    from ragkit_web.fetching import Fetcher
    from ragkit_web.pages import Pages
    from ragkit_web.robots import Robots

_MOST_REDIRECTS = 10


@dataclass
class Visit:
    """What became of an address: a `page`, an `error`, or neither for one that is not wanted.

    `chain` are all addresses on the way, the first one included.
    """

    chain: list[str]
    page: Page | None = None
    error: DocumentError | None = None
    redirects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taker:
    """Takes pages one by one. `today` is the time in seconds since 1970."""

    options: WebOptions
    fetcher: Fetcher
    robots: Robots | None
    pages: Pages
    scope: Scope
    today: Callable[[], float]

    def take(self, url: str, taken: Container[str], *, first: bool) -> Visit:
        """Take `url`, unless it leads to one of `taken`. A `first` page may lead to another host, which then belongs to it."""
        visit = Visit([url])
        known = self.pages.get(url)
        try:
            visit.page = self._last(visit, taken, known, first=first)
        except DocumentGone as error:
            self._forget(visit)
            unknown = first and known is None
            visit.error = DocumentError(error.message, uri=url, cure="correct `urls` of the source") if unknown else error
        except DocumentError as error:
            visit.error = error
        else:
            for one, location in visit.redirects.items():
                self.pages.redirect(one, location, self.today())
        return visit

    def _last(self, visit: Visit, taken: Container[str], known: Page | None, *, first: bool) -> Page | None:
        """The page at the end of the redirects; None for one that is not wanted."""
        while True:
            url = visit.chain[-1]
            if len(visit.chain) > 1 and url in taken:
                return None
            step = self._step(url, known if len(visit.chain) == 1 else self.pages.get(url), first=first)
            if not isinstance(step, str):
                return step
            if step in visit.chain:
                raise DocumentError(f"{visit.chain[0]}: is redirected in a circle", uri=visit.chain[0])
            if len(visit.chain) > _MOST_REDIRECTS:
                raise DocumentError(f"{visit.chain[0]}: is redirected more than {_MOST_REDIRECTS} times", uri=visit.chain[0])
            if not self._is_wanted(step, first=first):
                if known is None:
                    return None
                told = f"{visit.chain[0]}: was moved to {host_of(step)}, or to where the patterns leave it out"
                raise DocumentError(told, uri=visit.chain[0], cure="name it in `urls`, or `exclude` the old address")
            visit.redirects[url] = step
            visit.chain.append(step)

    def _is_wanted(self, url: str, *, first: bool) -> bool:
        if first:
            self.scope.add_host(host_of(url))
            return True
        return self.scope.has_host(url) and self.scope.wants(url)

    def _step(self, url: str, known: Page | None, *, first: bool) -> Page | str | None:
        """The page, or the address that it leads to; None for one that robots should not ask for."""
        if known is not None and self.today() - known.checked < self.options.max_age:
            return known.location or known
        if self.robots is not None and not self.robots.allow(url):
            if first:
                raise DocumentError(f"{url}: its robots.txt forbids it", uri=url, cure="ask its owner, then set `robots: false`")
            return None
        has_body = known is not None and not known.location
        answer = self.fetcher.get(
            Request(
                url,
                self.options.max_bytes,
                etag=known.etag if known and has_body else "",
                modified=known.modified if known and has_body else "",
                refuse=partial(reading.refuse, url, files=self.options.files),
            )
        )
        if answer.status in REDIRECTS:
            return target(url, answer, self.options.tracking)
        if answer.status == 304 and known and has_body:
            self.pages.confirm(url, self.today())
            return known
        if answer.status in (404, 410):
            raise DocumentGone(f"{url}: the host answers HTTP {answer.status}", uri=url)
        if answer.status != 200:
            raise DocumentError(f"{url}: the host answers HTTP {answer.status}", uri=url, cure=_CURES.get(answer.status, ""))
        return self._keep(url, answer)

    def _keep(self, url: str, answer: Answer) -> Page:
        now = self.today()
        page = Page(
            url,
            type=answer.headers.get("content-type", ""),
            etag=answer.headers.get("etag", ""),
            modified=answer.headers.get("last-modified", ""),
            fetched=now,
            checked=now,
        )
        return self.pages.put(page, answer.body)

    def _forget(self, visit: Visit) -> None:
        for url in visit.chain:
            self.pages.drop(url)


_CURES = {
    401: "send what it asks for with `headers`",
    403: "send what it asks for with `headers`, or leave it out with `exclude`",
}
