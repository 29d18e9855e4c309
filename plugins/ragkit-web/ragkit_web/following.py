"""Redirects of what is no page of its own: `robots.txt` and sitemaps."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ragkit.errors import DocumentError
from ragkit_web.addresses import normal
from ragkit_web.fetching import Answer, Request

if TYPE_CHECKING:
    from ragkit_web.fetching import Fetcher

REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST = 5
"""RFC 9309, 2.3.1.2."""


def follow(fetcher: Fetcher, url: str, max_bytes: int, *, paced: bool = True) -> tuple[str, Answer]:
    """Where it was found, and the answer, which is 200 or another that is final. Raises `DocumentError`."""
    current = url
    for _ in range(_MOST + 1):
        answer = fetcher.get(Request(current, max_bytes, paced=paced))
        if answer.status not in REDIRECTS:
            return current, answer
        current = target(current, answer)
    raise DocumentError(f"{url}: is redirected more than {_MOST} times", uri=url)


def target(url: str, answer: Answer, tracking: tuple[str, ...] = ()) -> str:
    """Where a redirect leads. Raises `DocumentError` where that is nowhere to go."""
    location = answer.headers.get("location", "")
    if not location:
        raise DocumentError(f"{url}: is redirected, but not said where to", uri=url)
    try:
        # what browsers do with bytes that are no ASCII: they take them for UTF-8
        return normal(location.encode("latin-1").decode("utf-8", "replace"), url, tracking)
    except ValueError as error:
        shown = urljoin(url, location).split("?")[0].rpartition("@")[2][:200]
        raise DocumentError(f"{url}: is redirected to {shown!r}, which is refused: {error}", uri=url) from error
