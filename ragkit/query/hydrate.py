"""Late hydration: chunk ids become LlamaIndex nodes, read from the ledger in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode

from ragkit.state.records import ChunkRecord, ParentRecord

if TYPE_CHECKING:
    from ragkit.state.reader import Reader

_SHOWN_TO_LLM = frozenset({"title", "uri", "heading", "page"})
_ATTEMPTS = 3
"""How often chunks and their document are read where one is of another version than the other."""


class ChunkNode(TextNode):
    """A `TextNode` that came from the ledger in this query."""


def fields(chunk: ChunkRecord) -> dict[str, Any]:
    """What a chunk can be filtered by: its document's metadata, and over it where the chunk stands."""
    place = {"source": chunk.source, "uri": chunk.uri, "title": chunk.title, "heading": chunk.heading, "page": chunk.page}
    return {**chunk.metadata, **{key: value for key, value in place.items() if value not in ("", None)}}


def to_node(chunk: ChunkRecord) -> ChunkNode:
    """A chunk as LlamaIndex has it: id, text, offsets in the document, metadata, and the document as its source."""
    metadata = fields(chunk)
    return ChunkNode(
        id_=chunk.id,
        text=chunk.text,
        start_char_idx=chunk.start,
        end_char_idx=chunk.end,
        metadata=metadata,  # type: ignore[call-arg]  # LlamaIndex's alias hides the name from mypy
        excluded_embed_metadata_keys=list(metadata),
        excluded_llm_metadata_keys=[key for key in metadata if key not in _SHOWN_TO_LLM],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=chunk.document_id)},
    )


def to_parent(parent: ParentRecord) -> ChunkNode:
    """What chunks were cut from as a node; its LlamaIndex children are those chunks."""
    node = to_node(parent.whole)
    node.relationships[NodeRelationship.CHILD] = [RelatedNodeInfo(node_id=child) for child in parent.children]
    return node


def hydrate(reader: Reader, ids: Sequence[str], scores: Sequence[float] | None = None) -> list[NodeWithScore]:
    """The chunks in the order of `ids` with their scores; deleted and unknown ones are left out."""
    by_id: dict[str, float] = dict(zip(ids, scores, strict=True)) if scores is not None else {}
    return [NodeWithScore(node=to_node(chunk), score=by_id.get(chunk.id)) for chunk in reader.chunks(ids)]


def passage(reader: Reader, ids: Sequence[str]) -> ChunkNode | None:
    """One node for the text from the first to the last of these chunks of one document; see `BuildContext.passage`.

    Where a chunker wrote text that is no piece of its document, the chunks' texts in reading order, and no offsets.
    """
    chunks: list[ChunkRecord] = []
    for _ in range(_ATTEMPTS):
        chunks = reader.chunks(ids)
        if not chunks:
            return None
        document = reader.document_of(chunks[0].id)
        spans = [(chunk.start, chunk.end) for chunk in chunks if chunk.start is not None and chunk.end is not None]
        if len(spans) < len(chunks):
            break
        # the document may have changed between the two
        if document and all(document.text[slice(*span)] == chunk.text for span, chunk in zip(spans, chunks, strict=True)):
            start, end = min(start for start, _ in spans), max(end for _, end in spans)
            return to_node(chunks[0]).model_copy(
                update={"text": document.text[start:end], "start_char_idx": start, "end_char_idx": end}
            )
    in_order = sorted(chunks, key=lambda chunk: chunk.ordinal)
    text = "\n\n".join(dict.fromkeys(chunk.text for chunk in in_order))
    return to_node(chunks[0]).model_copy(update={"text": text, "start_char_idx": None, "end_char_idx": None})
