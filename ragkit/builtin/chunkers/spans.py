"""What the chunkers share: from the spans of a text to nodes."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, TextNode
from pydantic import PrivateAttr

from ragkit.components import Tokenizer

Span = tuple[int, int]

_MAX_CHARS_PER_TOKEN = 32
_SPACE = re.compile(r"\s")
_PROBES = ("plain", "words,", "(with)", "punctuation.", "x1y2z3", "naïve", "supercalifragilistic")
_SEPARATORS = (" ", "\n", "\n\n", "\t", "    ")


class SpanChunker(NodeParser):
    """A chunker whose chunks are pieces of their document, at most `size` tokens each.

    Chunks bear their exact offsets, are trimmed of space, and leave out nothing but space. `lead` tells the host what
    to put before the text in what is embedded and indexed.
    """

    include_prev_next_rel: bool = False
    size: int
    overlap: int
    lead: str = "none"

    _tokenizer: Tokenizer = PrivateAttr()

    def __init__(self, *, tokenizer: Tokenizer, **fields: Any) -> None:
        super().__init__(**fields)
        self._tokenizer = tokenizer

    @abstractmethod
    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        """Where the chunks of `text` lie, in order, trimmed. `markdown` says whether headings and code fences mean anything."""

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return [chunk for node in nodes for chunk in self._chunks(node)]

    def _chunks(self, document: BaseNode) -> list[BaseNode]:
        text = document.get_content(metadata_mode=MetadataMode.NONE)
        spans = self.spans(text, markdown=document.metadata.get("format") == "markdown")
        if not spans:
            return []
        # hashing the whole document for the relationship once, not for every chunk
        parent = document.source_node or document.as_related_node_info()
        shared: dict[str, Any] = {
            "excluded_embed_metadata_keys": document.excluded_embed_metadata_keys,
            "excluded_llm_metadata_keys": document.excluded_llm_metadata_keys,
            "metadata_template": document.metadata_template,
            "metadata_separator": document.metadata_separator,
            "relationships": {NodeRelationship.SOURCE: parent},
        }
        return [
            TextNode(
                id_=self.id_func(number, document),
                text=text[start:end],
                start_char_idx=start,
                end_char_idx=end,
                metadata=dict(document.metadata) if self.include_metadata else {},
                **shared,
            )
            for number, (start, end) in enumerate(spans)
        ]

    def _postprocess_parsed_nodes(self, nodes: list[BaseNode], parent_doc_map: dict[str, Any]) -> list[BaseNode]:
        """Replaces LlamaIndex's, which searches for each text again and mistakes a repeated one for its first occurrence."""
        if self.include_prev_next_rel:
            for before, after in pairwise(nodes):
                if before.ref_doc_id == after.ref_doc_id:
                    before.relationships[NodeRelationship.NEXT] = after.as_related_node_info()
                    after.relationships[NodeRelationship.PREVIOUS] = before.as_related_node_info()
        return nodes


def splits_at_space(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a text are those of its words: space costs nothing and joins nothing (WordPiece).

    Then the counts of pieces cut at spaces add up, and a chunk need not be counted once more as a whole. Tokenizers
    that keep spaces (byte-level BPE, SentencePiece) fail here, and their chunks are counted.
    """
    if any(tokenizer.count(_SEPARATORS)):
        return False
    alone = tokenizer.count(_PROBES)
    joined = [separator.join(_PROBES) for separator in _SEPARATORS]
    return all(count == sum(alone) for count in tokenizer.count(joined))


def fit(text: str, spans: Sequence[Span], size: int, tokenizer: Tokenizer, proven: Sequence[bool] | None = None) -> list[Span]:
    """The trimmed `spans`, each that counts more than `size` tokens cut into smaller ones; empty ones are dropped.

    `proven` says of each span whether it is known to fit, so that it need not be counted. A span of very many characters
    is cut too: for WordPiece a word without end is one unknown token.
    """
    fitting: list[Span | None] = [trim(text, start, end) for start, end in spans]
    longest = _MAX_CHARS_PER_TOKEN * size
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
