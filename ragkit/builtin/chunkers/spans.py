"""What the chunkers share: from the spans of a text to nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from pydantic import Field, PrivateAttr

from ragkit.components import Tokenizer
from ragkit.words import splits_at_space

Span = tuple[int, int]

MAX_CHARS_PER_TOKEN = 32
_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class Piece:
    """A chunk: where it lies in its document, and where what it was cut from lies, if that is handed out in its place."""

    span: Span
    parent: Span | None = None

    def moved(self, by: int) -> Piece:
        """The same piece, `by` characters further on."""
        return Piece(_moved(self.span, by), None if self.parent is None else _moved(self.parent, by))


@dataclass(frozen=True)
class Characters:
    """A `Tokenizer` for which a character is a token: for sizes in characters."""

    max_tokens: int | None = None
    special_tokens: int = 0
    fingerprint: str = "characters"

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return [(place, place + 1) for place in range(len(text))]

    def count(self, texts: Sequence[str]) -> list[int]:
        return list(map(len, texts))


class SpanChunker(NodeParser):
    """A chunker whose chunks are pieces of their document, at most `size` each: tokens, or characters if `unit` says so.

    Chunks bear their exact offsets, are trimmed of space, and leave out nothing but space. `limit` is how many tokens a
    chunk has at most whatever `size` says; None means no limit. `lead` tells the host what to put before the text in what
    is embedded and indexed.
    """

    include_prev_next_rel: bool = False
    size: int
    overlap: int
    unit: str = "tokens"
    limit: int | None = None
    lead: str = "none"
    tokenizer: Any = Field(exclude=True, repr=False, description="the embedding's `Tokenizer`")

    _measure: Tokenizer = PrivateAttr()
    _splits_at_space: bool = PrivateAttr(default=False)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self._measure = Characters() if self.unit == "characters" else self.tokenizer
        self._splits_at_space = splits_at_space(self._measure)

    # not abstract: LlamaIndex would wrap each of them in an instrumentation that takes as long as a short text
    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order, trimmed. `markdown` says whether headings and code fences mean anything.

        They have at most `size`; what has more tokens than `limit` is cut afterwards. A subclass says how; else halves.
        """
        return fit(text, [(0, len(text))], self.size, self._measure)

    def pieces(self, document: BaseNode, text: str) -> list[Piece]:
        """The chunks of `text`, which is that of `document` or a part of it, in order and within all limits."""
        return self._within_limit(text, [Piece(span) for span in self._spans_of(document, text)])

    def _spans_of(self, document: BaseNode, text: str) -> list[Span]:
        """The spans of a text of `document`, whose metadata say what it is."""
        return self.spans(text, markdown=document.metadata.get("format") == "markdown")

    def _within_limit(self, text: str, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, those of more than `limit` tokens cut at sentences."""
        if self.limit is None or not pieces:
            return list(pieces)
        from ragkit.builtin.chunkers.sentence import SentenceChunker

        counts = self.tokenizer.count([text[slice(*piece.span)] for piece in pieces])
        longest = MAX_CHARS_PER_TOKEN * self.limit
        cutter: SentenceChunker | None = None
        found: list[Piece] = []
        for piece, count in zip(pieces, counts, strict=True):
            start, end = piece.span
            if count <= self.limit and end - start <= longest:
                found.append(piece)
                continue
            cutter = cutter or SentenceChunker(tokenizer=self.tokenizer, size=self.limit, overlap=0)
            inner = cutter.spans(text[start:end])
            found += [Piece(_moved(span, start), piece.parent) for span in inner]
        return in_line(found)

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return [chunk for node in nodes for chunk in self._chunks(node)]

    def _chunks(self, document: BaseNode) -> list[BaseNode]:
        text = document.get_content(metadata_mode=MetadataMode.NONE)
        pieces = self.pieces(document, text)
        if not pieces:
            return []
        # hashing the whole document for the relationship once, not for every chunk
        source = document.source_node or document.as_related_node_info()
        shared: dict[str, Any] = {
            "excluded_embed_metadata_keys": document.excluded_embed_metadata_keys,
            "excluded_llm_metadata_keys": document.excluded_llm_metadata_keys,
            "metadata_template": document.metadata_template,
            "metadata_separator": document.metadata_separator,
        }
        chunks: list[BaseNode] = []
        for number, piece in enumerate(pieces):
            start, end = piece.span
            related: dict[NodeRelationship, Any] = {NodeRelationship.SOURCE: source}
            if piece.parent is not None:
                related[NodeRelationship.PARENT] = _parent_info(document, piece.parent)
            chunks.append(
                TextNode(
                    id_=self.id_func(number, document),
                    text=text[start:end],
                    start_char_idx=start,
                    end_char_idx=end,
                    metadata=dict(document.metadata) if self.include_metadata else {},
                    relationships=related,
                    **shared,
                )
            )
        return chunks

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Any]) -> list[BaseNode]:
        """Replaces LlamaIndex's, which searches for each text again and mistakes a repeated one for its first occurrence."""
        if self.include_prev_next_rel:
            for before, after in pairwise(nodes):
                if before.ref_doc_id == after.ref_doc_id:
                    before.relationships[NodeRelationship.NEXT] = after.as_related_node_info()
                    after.relationships[NodeRelationship.PREVIOUS] = before.as_related_node_info()
        return nodes


def _moved(span: Span, by: int) -> Span:
    return span[0] + by, span[1] + by


def _parent_info(document: BaseNode, span: Span) -> RelatedNodeInfo:
    """What chunks of the same parent have in common."""
    return RelatedNodeInfo(node_id=f"{document.node_id}:{span[0]}-{span[1]}", metadata={"start": span[0], "end": span[1]})


def fit(text: str, spans: Sequence[Span], size: int, tokenizer: Tokenizer, proven: Sequence[bool] | None = None) -> list[Span]:
    """The trimmed `spans`, each that counts more than `size` tokens cut into smaller ones; empty ones are dropped.

    `proven` says of each span whether it is known to fit, so that it need not be counted. A span of very many characters
    is cut too: for WordPiece a word without end is one unknown token.
    """
    fitting: list[Span | None] = [trim(text, start, end) for start, end in spans]
    longest = MAX_CHARS_PER_TOKEN * size
    doubtful = [n for n, span in enumerate(fitting) if span and not (proven and proven[n] and span[1] - span[0] <= longest)]
    pieces = [fitting[n] or (0, 0) for n in doubtful]
    counts = tokenizer.count([text[start:end] for start, end in pieces]) if pieces else []
    cut: dict[int, list[Span]] = {}
    for n, (start, end), count in zip(doubtful, pieces, counts, strict=True):
        if end - start > 1 and (count > size or end - start > longest):
            middle = _seam(text, start, end)
            cut[n] = fit(text, [(start, middle), (middle, end)], size, tokenizer)
    return [piece for n, span in enumerate(fitting) if span for piece in cut.get(n, [span])]


def in_order(spans: Sequence[Span]) -> list[Span]:
    """`spans` by where they begin and end, without those that lie in another: a large overlap can make such."""
    ordered: list[Span] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not ordered or end > ordered[-1][1]:
            ordered.append((start, end))
    return ordered


def in_line(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, which are in order of where they begin, without those that lie in one before."""
    kept: list[Piece] = []
    for piece in pieces:
        if not kept or piece.span[1] > kept[-1].span[1]:
            kept.append(piece)
    return kept


def trim(text: str, start: int, end: int) -> Span | None:
    """The span without the space around it; None if there is nothing else."""
    piece = text[start:end]
    stripped = piece.strip()
    if not stripped:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(stripped)


def _seam(text: str, start: int, end: int) -> int:
    """Where to cut a span that is too long: at the space closest to its middle, else in the middle."""
    middle = (start + end) // 2
    before = max(text.rfind(" ", start + 1, middle), text.rfind("\n", start + 1, middle))
    after = _SPACE.search(text, middle, end)
    places = [place for place in (before, after.start() if after else -1) if place > start]
    return min(places, key=lambda place: abs(place - middle)) if places else middle
