"""The built-in sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from ragkit import BuildContext, Component, ConfigPath, SourceOptions, hookimpl, runtime
from ragkit.builtin.sources.git_options import git_component
from ragkit.builtin.sources.posts_options import posts_component
from ragkit.builtin.sources.uploads_options import uploads_component
from ragkit.builtin.sources.urls_options import urls_component
from ragkit.conversion.formats import EXCLUDE, INCLUDE

if TYPE_CHECKING:
    from ragkit.builtin.sources.files import FilesSource
    from ragkit.builtin.sources.jsonl import JsonlSource


class FilesOptions(SourceOptions):
    """`files`: the documents under a folder, or a single file.

    Patterns are those of `.gitignore`, matched without regard to case against paths relative to the folder.
    """

    path: ConfigPath = runtime(description="a folder, or one file")
    include: tuple[str, ...] = runtime(default=INCLUDE, min_length=1, description="patterns of the files to take")
    exclude: tuple[str, ...] = runtime(default=EXCLUDE, description="patterns of files and folders to leave out")
    gitignore: bool = runtime(
        default=True, description="leave out what the `.gitignore` files say, also those of the repository that the folder is in"
    )
    hidden: bool = runtime(default=False, description="take files and folders whose name begins with a dot, too")
    max_bytes: int = runtime(default=50_000_000, ge=1, description="a larger file is a failure")
    max_pages: int = runtime(default=5_000, ge=1, description="a PDF with more pages is a failure")
    timeout: float | None = runtime(
        default=300.0,
        ge=1,
        le=86_400,
        description="seconds for converting a PDF, an Office document or a book, in a process that ends then; null converts in "
        "ragkit's own process, without limits of time and memory",
    )
    encoding: str | None = runtime(default=None, description="of text files; by default it is found out for each")

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if not pattern.strip("!/ "):
                raise ValueError(f"{pattern!r} is no pattern")
        return patterns

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                "".encode(encoding)
            except LookupError:
                raise ValueError(f"Python knows no encoding {encoding!r}") from None
        return encoding


def build_files(options: FilesOptions, context: BuildContext) -> FilesSource:
    """The documents under `options.path`."""
    from ragkit.builtin.sources.files import FilesSource

    return FilesSource(options)


class JsonlOptions(SourceOptions):
    """`jsonl`: a record on every line of a file, a document for every record.

    A record's URI is `file#id`; a changed or deleted line changes or removes that document alone.
    """

    path: ConfigPath = runtime(description="a `.jsonl` or `.jsonl.gz` file, or a folder of them")
    include: tuple[str, ...] = runtime(
        default=("**/*.jsonl", "**/*.jsonl.gz"), min_length=1, description="patterns of the files to take from a folder"
    )
    hidden: bool = runtime(default=False, description="take files and folders whose name begins with a dot, too")
    id: str = runtime(default="_id", description="the field that names a record")
    title: str | None = runtime(
        default="title", description="the field with the title; it leads each chunk, so keep it out of `text`"
    )
    text: str | tuple[str, ...] = runtime(
        default="text", description="the field with the text, or several that are joined by blank lines"
    )
    metadata: tuple[str, ...] | None = runtime(
        default=None, description="the fields to keep as metadata; by default those of the record's `metadata` object"
    )
    format: Literal["text", "markdown"] = runtime(default="text", description="what the text is written in")
    max_bytes: int = runtime(default=10_000_000, ge=1, description="a longer record is a failure")

    @field_validator("text")
    @classmethod
    def _named(cls, text: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not text:
            raise ValueError("names no field")
        return text


def build_jsonl(options: JsonlOptions, context: BuildContext) -> JsonlSource:
    """The records of `options.path`."""
    from ragkit.builtin.sources.jsonl import JsonlSource

    return JsonlSource(options)


@hookimpl
def ragkit_sources() -> list[Component]:
    """What there is without a plugin."""
    return [
        Component(
            "files",
            FilesOptions,
            build_files,
            summary="a folder of text, Markdown, HTML, PDF, Office, EPUB, tables, notebooks and code",
            capabilities={"lists": True},
        ),
        Component(
            "jsonl",
            JsonlOptions,
            build_jsonl,
            summary="the records of JSONL files, such as a BEIR corpus",
            capabilities={"lists": True},
        ),
        git_component(),
        posts_component(),
        urls_component(),
        uploads_component(),
    ]
