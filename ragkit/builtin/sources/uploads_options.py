"""The YAML keys of the source `uploads`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit import BuildContext, Component, SourceOptions, runtime

if TYPE_CHECKING:
    from ragkit.builtin.sources.uploads import UploadsSource


class UploadsOptions(SourceOptions):
    """`uploads`: what was uploaded in the chat or through the API. It is there without being named."""

    max_bytes: int = runtime(default=50_000_000, ge=1, description="a larger file is refused")
    max_files: int = runtime(default=10_000, ge=1, description="how many files are kept; further ones are refused")
    max_pages: int = runtime(default=5_000, ge=1, description="a PDF with more pages is refused")
    timeout: float = runtime(
        default=300.0, ge=1, le=86_400, description="seconds for converting a PDF, an Office document or a book"
    )


def build_uploads(options: UploadsOptions, context: BuildContext) -> UploadsSource:
    """The files that were uploaded, which lie in the component's own folder."""
    from ragkit.builtin.sources.uploads import UploadsSource

    return UploadsSource(context.folder, options)


def uploads_component() -> Component:
    """What the host knows of it."""
    return Component(
        "uploads",
        UploadsOptions,
        build_uploads,
        summary="what was uploaded in the chat or through the API; there without being named",
        capabilities={"lists": True},
    )
