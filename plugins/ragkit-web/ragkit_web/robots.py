"""What hosts ask of robots: `robots.txt` (RFC 9309)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from protego import Protego

from ragkit.errors import DocumentError
from ragkit_web.addresses import origin_of
from ragkit_web.following import follow

if TYPE_CHECKING:
    from ragkit_web.fetching import Fetcher

_MAX_BYTES = 500 * 1024
"""RFC 9309, 2.5: at least 500 KiB have to be read."""


class Robots:
    """The rules of all hosts, each asked for once per ingest."""

    def __init__(self, fetcher: Fetcher, user_agent: str) -> None:
        self._fetcher = fetcher
        # a product name is what stands before its version (RFC 9309, 2.2.1)
        self._user_agent = re.split("[/ ]", user_agent, maxsplit=1)[0]
        self._known: dict[str, Protego] = {}

    def allow(self, url: str) -> bool:
        """Whether `url` may be asked for. Raises `DocumentError` where the rules cannot be had; the host is then given up."""
        return self._rules(url).can_fetch(url, self._user_agent)

    def sitemaps(self, url: str) -> Sequence[str]:
        """The sitemaps that the host of `url` names."""
        return list(self._rules(url).sitemaps)

    def _rules(self, url: str) -> Protego:
        origin = origin_of(url)
        if origin not in self._known:
            self._known[origin] = rules = Protego.parse(self._text(origin))
            delay = rules.crawl_delay(self._user_agent)
            if delay:
                self._fetcher.slow_down(url, float(delay))
        return self._known[origin]

    def _text(self, origin: str) -> str:
        try:
            _, answer = follow(self._fetcher, f"{origin}/robots.txt", _MAX_BYTES, paced=False)
        except DocumentError as error:
            if not self._fetcher.down(f"{origin}/"):
                self._fetcher.give_up(f"{origin}/", f"its robots.txt cannot be read, so nothing is asked for: {error.message}")
            raise
        # what is not there allows everything (RFC 9309, 2.3.1.3)
        return answer.body.decode("utf-8", "replace").removeprefix("\ufeff") if answer.status == 200 else ""
