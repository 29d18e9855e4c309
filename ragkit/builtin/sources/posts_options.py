"""The options of the source `posts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from ragkit import BuildContext, Component, ConfigPath, SourceOptions, runtime

if TYPE_CHECKING:
    from ragkit.builtin.sources.posts import PostsSource

_SUFFIXES = ("json", "jsonl", "ndjson", "csv", "tsv")


class PostsOptions(SourceOptions):
    """`posts`: the records of an export, each a document with author, date, link and platform.

    Fields are named with dots where they are nested (`user.name`, `media.0.url`). A record's URI is `file#id`.
    """

    path: ConfigPath = runtime(description="an export, or a folder of them; packed with gzip where the name ends in `.gz`")
    include: tuple[str, ...] = runtime(
        default=tuple(f"**/*.{suffix}{packed}" for suffix in _SUFFIXES for packed in ("", ".gz")),
        min_length=1,
        description="patterns of the files to take from a folder",
    )
    hidden: bool = runtime(default=False, description="take files and folders whose name begins with a dot, too")
    format: Literal["json", "jsonl", "csv"] | None = runtime(
        default=None, description="what the files are; by default what each one's suffix says"
    )
    records: str | None = runtime(
        default=None,
        min_length=1,
        description="the key of the list in a JSON file, with dots where it is nested; by default the file itself, or the first "
        "list in its object",
    )
    delimiter: str | None = runtime(
        default=None, min_length=1, max_length=1, description="between the cells of a CSV file; by default it is found out"
    )
    encoding: str | None = runtime(
        default=None, description="of JSON and CSV files; by default UTF-8, or what a byte order mark says"
    )
    id: str = runtime(default="id", min_length=1, description="the field that names a post")
    text: str | tuple[str, ...] = runtime(
        default="text", description="the field with the text, or several that are joined by blank lines"
    )
    text_format: Literal["text", "markdown", "html"] = runtime(default="text", description="what the text is written in")
    title: str | None = runtime(default="title", description="the field with the title")
    author: str | None = runtime(default="author", description="the field with the author")
    date: str | None = runtime(
        default="date",
        description="the field with the date: ISO 8601, RFC 2822, seconds or milliseconds since 1970, or another form that can "
        "be read in one way only",
    )
    date_format: str | None = runtime(
        default=None, min_length=2, description="how dates are written, as for Python's `strptime`, such as `%d/%m/%Y %H:%M`"
    )
    link: str | None = runtime(default="link", description="the field with the post's address")
    platform: str | None = runtime(default="platform", description="the field that says where it was posted")
    platform_name: str | None = runtime(default=None, min_length=1, description="the platform of posts that do not say it")
    metadata: tuple[str, ...] = runtime(default=(), description="further fields to keep as metadata")
    max_bytes: int = runtime(default=10_000_000, ge=1, description="a longer record is a failure")

    @field_validator("text")
    @classmethod
    def _named(cls, text: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not text:
            raise ValueError("names no field")
        return text

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                "".encode(encoding)
            except LookupError:
                raise ValueError(f"Python knows no encoding {encoding!r}") from None
        return encoding


def build_posts(options: PostsOptions, context: BuildContext) -> PostsSource:
    """The posts of `options.path`."""
    from ragkit.builtin.sources.posts import PostsSource

    return PostsSource(options)


def posts_component() -> Component:
    """`posts`."""
    return Component(
        "posts",
        PostsOptions,
        build_posts,
        summary="posts from JSON, JSONL or CSV exports, with author, date, link and platform",
        capabilities={"lists": True},
    )
