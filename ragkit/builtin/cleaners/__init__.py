"""The built-in cleaners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit import BuildContext, CleanerOptions, Component, hookimpl

if TYPE_CHECKING:
    from llama_index.core.schema import TransformComponent


class WhitespaceOptions(CleanerOptions):
    """`whitespace` has no options of its own."""


def build_whitespace(options: WhitespaceOptions, context: BuildContext) -> TransformComponent:
    """A cleaner of white space, control characters and Unicode forms."""
    from ragkit.builtin.cleaners.whitespace import WhitespaceCleaner

    return WhitespaceCleaner()


@hookimpl
def ragkit_cleaners() -> list[Component]:
    """`whitespace`."""
    return [
        Component(
            "whitespace",
            WhitespaceOptions,
            build_whitespace,
            summary="trailing space, runs of blank lines, control characters, Unicode NFC; indentation stays",
        )
    ]
