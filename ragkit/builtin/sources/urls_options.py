"""The options of the source `urls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from ragkit import BuildContext, Component, ConfigPath, SourceOptions, runtime

if TYPE_CHECKING:
    from ragkit.builtin.sources.urls import UrlsSource


class UrlsOptions(SourceOptions):
    """`urls`: a list of links, each taken by the source that has a pattern for it; what no source claims is a page for `web`."""

    links: tuple[str, ...] = runtime(default=(), description="links to repositories, feeds and pages")
    file: ConfigPath | None = runtime(
        default=None, description="a text file with a link on every line; what follows a `#` at the start of a word is a comment"
    )
    allow_private: bool = runtime(default=False, description="reach private and local addresses, too")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.links and self.file is None:
            raise ValueError("names no links; give `links` or a `file`")
        return self


def build_urls(options: UrlsOptions, context: BuildContext) -> UrlsSource:
    """What the links of `options` lead to."""
    from ragkit.builtin.sources.urls import UrlsSource

    return UrlsSource(options, context)


def urls_component() -> Component:
    """`urls`."""
    return Component(
        "urls",
        UrlsOptions,
        build_urls,
        summary="a list of links, each taken by the source that it fits: repositories, feeds, pages",
        capabilities={"lists": True},
    )
