"""A chunker inside of another one: its chunks as pieces of the text, whoever wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, Document, MetadataMode

from ragkit.builtin.chunkers.spans import Piece, SpanChunker, in_line, trim
from ragkit.errors import ComponentError


def pieces_of(chunker: NodeParser, document: BaseNode, text: str) -> list[Piece]:
    """The chunks that `chunker` makes of `text`, a part of `document`.

    Raises `ComponentError` for a chunker whose chunks are no pieces of the text.
    """
    if isinstance(chunker, SpanChunker):
        return chunker.pieces(document, text)
    part = Document(text=text, metadata=dict(document.metadata), id_=document.node_id)
    nodes = chunker.get_nodes_from_documents([part])
    return in_line(sorted(_located(text, nodes, chunker), key=lambda piece: (piece.span[0], -piece.span[1])))


def _located(text: str, nodes: Sequence[BaseNode], chunker: Any) -> list[Piece]:
    """Where each node stands: as it says itself, else where its text is found behind the one before."""
    found: list[Piece] = []
    behind = 0
    for node in nodes:
        content = node.get_content(metadata_mode=MetadataMode.NONE)
        if not content.strip():
            continue
        start = getattr(node, "start_char_idx", None)
        if start is None or text[start : start + len(content)] != content:
            start = text.find(content, behind)
            start = text.find(content) if start < 0 else start
        if start < 0:
            raise ComponentError(
                f"{type(chunker).__name__} wrote a chunk that is no piece of its document, so it cannot be nested",
                component="chunker",
                cure="use it as `chunker` itself, or nest another one",
            )
        span = trim(text, start, start + len(content))
        if span is not None:
            found.append(Piece(span))
        behind = start + 1
    return found
