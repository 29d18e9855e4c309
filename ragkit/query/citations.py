"""Citations: from a place in a chunk to a place in the document's text, checked letter by letter."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.schema import NodeWithScore

from ragkit.query.reader import Reader
from ragkit.state.records import DocumentRecord


@dataclass(frozen=True)
class Citation:
    """A quote. `n` is its number in the answer; `document.text[start:end] == quote` for the document in the ledger."""

    n: int
    chunk_id: str
    document_id: str
    uri: str
    quote: str
    start: int
    end: int

    def to_dict(self) -> dict[str, Any]:
        """As in the `citations` of `ragkit ask --json`."""
        return dict(vars(self))


def resolve(
    given: Sequence[Mapping[str, Any]], nodes: Sequence[NodeWithScore], reader: Reader
) -> tuple[list[Citation], list[str]]:
    """The citations that an answerer gave as places in nodes, as places in documents; and what was wrong with the others."""
    by_id = {item.node.node_id: item for item in nodes}
    documents: dict[str, DocumentRecord | None] = {}
    found: list[Citation] = []
    problems: list[str] = []
    for item in given:
        number, node = int(item["n"]), by_id.get(str(item["node_id"]))
        if node is None:
            problems.append(f"[{number}] cites a passage that was not given")
            continue
        chunk_id = node.node.node_id
        if chunk_id not in documents:
            documents[chunk_id] = reader.document_of(chunk_id) or reader.document(node.node.ref_doc_id or "")
        document = documents[chunk_id]
        start, end = int(item["start"]), int(item["end"])
        quote = node.node.get_content()[start:end]
        place = _place(document, node, quote, start) if document is not None else None
        if document is None or place is None:
            problems.append(f"[{number}] is not in its document as quoted")
            continue
        found.append(Citation(number, chunk_id, document.id, document.uri, quote, place, place + len(quote)))
    return found, problems


def without(text: str, numbers: Collection[int]) -> str:
    """`text` without the marks `[n]` of `numbers`."""
    return re.sub(r" ?\[(\d+)\]", lambda mark: "" if int(mark[1]) in numbers else mark[0], text) if numbers else text


def _place(document: DocumentRecord, item: NodeWithScore, quote: str, start: int) -> int | None:
    """Where the quote stands in the document: where the chunk's offset says, else its first occurrence."""
    if not quote.strip():
        return None
    origin = getattr(item.node, "start_char_idx", None)
    if origin is not None and document.text.startswith(quote, origin + start):
        return int(origin + start)
    position = document.text.find(quote)
    return position if position >= 0 else None
