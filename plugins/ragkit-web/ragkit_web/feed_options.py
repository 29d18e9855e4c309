"""The options of the source `feed`, and the links that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import field_validator

from ragkit import BuildContext, Component, SourceOptions, runtime
from ragkit.components import LinkPattern

if TYPE_CHECKING:
    from ragkit_web.feeds import FeedSource

_REPOSITORY = r"(?!https?://(?:www\.)?(?:github\.com|gitlab\.com|codeberg\.org|bitbucket\.org)/[^/]+/[^/.]+/?\Z)"
_NAMES = r"/(?:feed|feeds|rss|atom)/?|\.(?:rss|atom|rdf)|/(?![^/\s?#]*sitemap)[^/\s?#]+\.xml"


class FeedOptions(SourceOptions):
    """`feed`: the entries of an RSS or Atom feed, as the feed has them."""

    url: str = runtime(description="the feed's address")
    keep: bool = runtime(default=True, description="keep entries that the feed, which has only the latest, lists no more")
    user_agent: str = runtime(default="ragkit", min_length=1, max_length=200, description="the name that the host is told")
    timeout: float = runtime(default=20.0, gt=0, le=3_600, description="seconds to connect, and to wait for more of an answer")
    max_seconds: float = runtime(default=60.0, gt=0, le=86_400, description="a feed that takes longer cannot be listed")
    max_bytes: int = runtime(default=10_000_000, ge=1, description="a feed that is larger, unpacked, cannot be listed")
    retries: int = runtime(default=3, ge=0, le=20, description="how often to ask again after a fault that may pass")
    allow_private: bool = runtime(default=False, description="reach private, loopback and link-local addresses, too")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        told = "must be an address that begins with http:// or https://"
        try:
            parts = urlsplit(url.strip())
            _ = parts.port
        except ValueError:
            raise ValueError(told) from None
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise ValueError(told)
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a user name or a password")
        return url.strip()


def build_feed(options: FeedOptions, context: BuildContext) -> FeedSource:
    """The entries of a feed; what was fetched is kept in the component's folder."""
    from ragkit_web.feeds import FeedSource

    return FeedSource(options, context.folder)


def feed_component() -> Component:
    """`feed`."""
    return Component(
        "feed",
        FeedOptions,
        build_feed,
        summary="the entries of an RSS or Atom feed",
        capabilities={"lists": True},
        links=(LinkPattern(rf"{_REPOSITORY}(?P<url>https?://[^\s?#]+(?:{_NAMES})(?:\?\S*)?)"),),
    )
