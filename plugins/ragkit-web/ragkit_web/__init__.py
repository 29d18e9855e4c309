"""Web pages: single ones, what a sitemap lists, and sites that are followed link by link."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator

from ragkit import BuildContext, Component, SourceOptions, hookimpl, runtime, secret
from ragkit.components import LinkPattern
from ragkit_web.feed_options import feed_component

if TYPE_CHECKING:
    from ragkit_web.source import WebSource

TRACKING = ("utm_*", "fbclid", "gclid", "dclid", "msclkid", "mc_cid", "mc_eid", "igshid", "yclid", "_ga", "_gl")

_MOST_PAGES = 1_000_000
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")
_OWN_HEADERS = frozenset(
    ("host", "user-agent", "accept", "accept-encoding", "connection", "content-length", "transfer-encoding", "range")
)


class WebOptions(SourceOptions):
    """`web`: pages by their address, from a sitemap, or found by following links.

    Patterns (`include`, `exclude`) have `*` for any characters, and match the whole address, or, where they begin with `/`,
    what follows the host.
    """

    urls: tuple[str, ...] = runtime(default=(), description="the pages to begin with; all that is taken with `depth: 0`")
    sitemap: bool | tuple[str, ...] = runtime(
        default=False,
        description="addresses of sitemaps (XML, an index of them, a list; also packed with gzip), whose pages are taken; true "
        "takes those of the hosts in `urls`",
    )
    depth: int = runtime(default=0, ge=0, le=100, description="how many links away from the first pages to go")
    max_pages: int = runtime(default=1_000, ge=1, le=_MOST_PAGES, description="ask for at most so many pages in an ingest")
    include: tuple[str, ...] = runtime(
        default=("*",),
        min_length=1,
        description="patterns of the pages to take; the first pages are read for their links all the same",
    )
    exclude: tuple[str, ...] = runtime(default=(), description="patterns of pages to leave out")
    files: bool = runtime(
        default=True, description="take PDFs, Office documents and books, too, as the source `files` reads them"
    )
    same_host: bool = runtime(default=True, description="stay on the hosts of `urls` and `sitemap`")
    robots: bool = runtime(default=True, description="obey `robots.txt`, its `Crawl-delay` included")
    user_agent: str = runtime(
        default="ragkit", max_length=200, description="the name that hosts are told, and that `robots.txt` is searched for"
    )
    delay: float = runtime(default=1.0, ge=0, le=3_600, description="seconds between two requests to the same host")
    timeout: float = runtime(default=20.0, gt=0, le=3_600, description="seconds to connect, and to wait for more of an answer")
    max_seconds: float = runtime(default=60.0, gt=0, le=86_400, description="a page that takes longer is a failure")
    max_bytes: int = runtime(default=5_000_000, ge=1, description="a page that is larger, unpacked, is a failure")
    retries: int = runtime(
        default=3, ge=0, le=20, description="how often to ask again after a fault that may pass: no answer, HTTP 429, 500, 502…"
    )
    max_wait: float = runtime(
        default=60.0, ge=0, le=3_600, description="seconds, at most, to wait as a host asks for (`Retry-After`, `Crawl-delay`)"
    )
    max_age: float = runtime(default=0.0, ge=0, description="seconds for which a page that was taken is not asked for again")
    tracking: tuple[str, ...] = runtime(
        default=TRACKING, description="names of query parameters that are cut off addresses, `*` for any characters"
    )
    allow_private: bool = runtime(
        default=False, description="reach private, loopback and link-local addresses, too: whoever writes a page decides which"
    )
    headers: dict[str, SecretStr] | None = secret(
        default=None, description="HTTP headers for the hosts of `urls` and `sitemap`, such as `Authorization`"
    )

    @field_validator("sitemap", mode="before")
    @classmethod
    def _one(cls, sitemap: Any) -> Any:
        return (sitemap,) if isinstance(sitemap, str) else sitemap

    @field_validator("urls", "sitemap")
    @classmethod
    def _addresses(cls, urls: bool | tuple[str, ...]) -> bool | tuple[str, ...]:
        for url in urls if isinstance(urls, tuple) else ():
            _check(url)
        return urls

    @field_validator("include", "exclude", "tracking")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not pattern.strip():
                raise ValueError(f"{pattern!r} is no pattern")
        return patterns

    @field_validator("user_agent")
    @classmethod
    def _sendable(cls, user_agent: str) -> str:
        if not _HEADER.fullmatch(user_agent):
            raise ValueError("must be what HTTP carries: ASCII, no space or line break at either end")
        return user_agent

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.urls and not (self.sitemap and self.sitemap is not True):
            raise ValueError("'sitemap: true' needs 'urls', whose hosts have it" if self.sitemap else "name pages with 'urls'")
        for name, value in (self.headers or {}).items():
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"'headers' cannot set {name!r}")
            if not _HEADER_NAME.fullmatch(name) or not _HEADER.fullmatch(value.get_secret_value()):
                raise ValueError("'headers' must be what HTTP carries: ASCII, no space or line break at either end")
        return self


def _check(url: str) -> None:
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise ValueError("an address cannot be read: its host or port is wrong") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not hold a user name or password: send them with 'headers'")
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise ValueError(f"{url!r} is no address that begins with http:// or https://")


def build(options: WebOptions, context: BuildContext) -> WebSource:
    """The pages that `options` name; what was fetched is kept in the component's folder."""
    from ragkit_web.source import WebSource

    return WebSource(options, context.folder)


@hookimpl
def ragkit_sources() -> list[Component]:
    """Offer `web`, which also takes the links of a list that no other source takes, and `feed`."""
    return [
        Component(
            "web",
            WebOptions,
            build,
            summary="web pages: single ones, from sitemaps, or sites followed link by link",
            capabilities={"lists": True},
            links=(LinkPattern(r"(?P<urls>https?://\S+)", {"max_pages": _MOST_PAGES}, fallback=True),),
        ),
        feed_component(),
    ]
