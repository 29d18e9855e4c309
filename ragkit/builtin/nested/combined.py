"""The chunkers `two_stage`, `by_category` and `hierarchical`, which cut with others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode
from pydantic import PrivateAttr

from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.spans import MAX_CHARS_PER_TOKEN, Piece, Span, in_line
from ragkit.builtin.nested.nesting import pieces_of


class TwoStageChunker(SentenceChunker):
    """Cuts with `structure`, and what has more than `size` tokens once more, by sentence, with the overlap between its parts."""

    _structure: NodeParser = PrivateAttr()

    def __init__(self, *, structure: NodeParser, **fields: Any) -> None:
        super().__init__(**fields)
        self._structure = structure

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitTwoStageChunker"

    def pieces(self, document: BaseNode, text: str) -> list[Piece]:
        """The structure's chunks, cut where they are too long."""
        return self._capped(document, text, pieces_of(self._structure, document, text))

    def _capped(self, document: BaseNode, text: str, pieces: list[Piece]) -> list[Piece]:
        found: list[Piece] = []
        counts = self.tokenizer.count([text[slice(*piece.span)] for piece in pieces]) if pieces else []
        for piece, count in zip(pieces, counts, strict=True):
            start, end = piece.span
            if count <= self.size and end - start <= MAX_CHARS_PER_TOKEN * self.size:
                found.append(piece)
                continue
            inner = self._spans_of(document, text[start:end])
            found += [Piece((start + a, start + b), piece.parent) for a, b in inner]
        return in_line(sorted(found, key=lambda piece: (piece.span[0], -piece.span[1])))


class ChoosingChunker(TwoStageChunker):
    """Cuts each document with the chunker that `choose` names for it, made when it is first needed; no chunk exceeds `size`."""

    _choose: Callable[[BaseNode, str], str] = PrivateAttr()
    _makers: Mapping[str, Callable[[], NodeParser]] = PrivateAttr()
    _made: dict[str, NodeParser] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        *,
        choose: Callable[[BaseNode, str], str],
        makers: Mapping[str, Callable[[], NodeParser]],
        default: NodeParser,
        **fields: Any,
    ) -> None:
        super().__init__(structure=default, **fields)
        self._choose = choose
        self._makers = makers

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitChoosingChunker"

    def pieces(self, document: BaseNode, text: str) -> list[Piece]:
        """The chunks that the chosen chunker makes."""
        return self._capped(document, text, pieces_of(self._chosen(document, text), document, text))

    def _chosen(self, document: BaseNode, text: str) -> NodeParser:
        name = self._choose(document, text)
        if name not in self._makers:
            return self._structure
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]


class HierarchicalChunker(TwoStageChunker):
    """Cuts the document into parents with `structure`, and each parent into leaves of at most `size` tokens.

    Only the leaves become chunks; each knows the span of its parent. `leaves` None means by sentence.
    """

    _leaves: NodeParser | None = PrivateAttr(default=None)

    def __init__(self, *, leaves: NodeParser | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self._leaves = leaves

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "RagkitHierarchicalChunker"

    def pieces(self, document: BaseNode, text: str) -> list[Piece]:
        """The leaves of every parent."""
        found: list[Piece] = []
        behind = 0
        for parent in pieces_of(self._structure, document, text):
            # parents may repeat what the one before ends with; leaves do not
            start, end = max(behind, parent.span[0]), parent.span[1]
            inside = self._cut(document, text, (start, end))
            found += [Piece(piece.span, (start, end)) for piece in inside]
            behind = max(behind, end)
        return found

    def _cut(self, document: BaseNode, text: str, span: Span) -> list[Piece]:
        start, end = span
        part = text[start:end]
        if self._leaves is None:
            leaves = [Piece(inner) for inner in self._spans_of(document, part)]
        else:
            leaves = self._capped(document, part, pieces_of(self._leaves, document, part))
        return [leaf.moved(start) for leaf in leaves]
