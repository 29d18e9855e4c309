"""Citations: from a place in a chunk to a place in the document's text, checked letter by letter."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeWithScore

if TYPE_CHECKING:
    from ragkit.state.reader import Reader


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
) -> tuple[list[Citation], dict[int, str]]:
    """The citations that an answerer gave as places in nodes, as places in documents; and by number what is wrong with others."""
    chunks = {item.node.node_id: item.node for item in nodes}
    document_of = cache(lambda chunk_id: reader.document_of(chunk_id) or reader.document(chunks[chunk_id].ref_doc_id or ""))
    found: list[Citation] = []
    wrong: dict[int, str] = {}
    for item in given:
        number, chunk_id, first = int(item["n"]), str(item["node_id"]), int(item["start"])
        if chunk_id not in chunks:
            wrong[number] = f"[{number}] cites a passage that was not given"
            continue
        document, quote = document_of(chunk_id), chunks[chunk_id].get_content()[first : int(item["end"])]
        start = _place(document.text, quote, first, getattr(chunks[chunk_id], "start_char_idx", None)) if document else -1
        if document is None or start < 0:
            wrong[number] = f"[{number}] is not in its document as quoted"
        else:
            found.append(Citation(number, chunk_id, document.id, document.uri, quote, start, start + len(quote)))
    return found, wrong


def without(text: str, numbers: Collection[int]) -> str:
    """`text` without the marks `[n]` of `numbers`."""
    return re.sub(r" ?\[(\d+)\]", lambda mark: "" if int(mark[1]) in numbers else mark[0], text)


def _place(text: str, quote: str, first: int, origin: int | None) -> int:
    """Where a quote stands: where the chunk's offset `origin` says, else its first occurrence; -1 where it does not."""
    if not quote.strip():
        return -1
    if origin is not None and text.startswith(quote, origin + first):
        return origin + first
    return text.find(quote)
