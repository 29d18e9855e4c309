"""Chunkers that follow what a document is made of: `markdown` by headings, `html` by elements, `code` by its syntax tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit import BuildContext, Component, hookimpl, identity
from ragkit.builtin.chunkers import LANGUAGE
from ragkit.builtin.chunkers.sizes import ChunkerOptions, UnitOptions, resolve, resolve_size
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.node_parser import NodeParser


class MarkdownOptions(ChunkerOptions):
    """`markdown`: sections by heading. What repeats is within a section that had to be cut."""

    language: str = identity(default="en", min_length=2, description=LANGUAGE)


class HtmlOptions(MarkdownOptions):
    """`html`: block elements of raw HTML; what is no raw HTML is cut as `markdown` cuts it."""


class CodeOptions(UnitOptions):
    """`code`: definitions. What repeats is within one that had to be cut by lines."""


def build_markdown(options: MarkdownOptions, context: BuildContext) -> NodeParser:
    """The `markdown` chunker."""
    from ragkit.builtin.structure.markdown import MarkdownChunker

    size = resolve_size(options, context)
    return MarkdownChunker(
        tokenizer=context.tokenizer, size=size, overlap=options.overlap, lead=options.lead, language=options.language
    )


def build_html(options: HtmlOptions, context: BuildContext) -> NodeParser:
    """The `html` chunker."""
    from ragkit.builtin.structure.html import HtmlChunker

    size = resolve_size(options, context)
    return HtmlChunker(
        tokenizer=context.tokenizer, size=size, overlap=options.overlap, lead=options.lead, language=options.language
    )


def build_code(options: CodeOptions, context: BuildContext) -> NodeParser:
    """The `code` chunker. Raises `ComponentError` without tree-sitter; a grammar is loaded with the first file that needs it."""
    from importlib.util import find_spec

    from ragkit.builtin.structure.code import CodeChunker

    if find_spec("tree_sitter") is None:
        raise ComponentError(
            "the chunker `code` needs tree-sitter, which is not installed",
            component="code",
            cure="pip install 'ragkit[code]', or choose the chunker `recursive`",
        )
    return CodeChunker(tokenizer=context.tokenizer, lead=options.lead, **resolve(options, context).fields())


@hookimpl
def ragkit_chunkers() -> list[Component]:
    """`markdown`, `html` and `code`."""
    return [
        Component(
            "markdown",
            MarkdownOptions,
            build_markdown,
            summary="by heading: whole sections where they fit, small ones together, long ones cut by sentence",
        ),
        Component("html", HtmlOptions, build_html, summary="raw HTML by block elements; other documents as `markdown`"),
        Component("code", CodeOptions, build_code, summary="functions and classes whole where they fit (tree-sitter)"),
    ]
