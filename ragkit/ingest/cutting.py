"""From a document's text to the chunks that the ledger keeps."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.components import Tokenizer
from ragkit.ingest.reading import describe
from ragkit.state.documents import NewChunk
from ragkit.state.hashing import chunk_id, input_key, parent_id
from ragkit.state.pending import embedded_input, payload, payload_hash
from ragkit.text import LEAD_TOKENS, PAGE_BREAK, Heading, headings

if TYPE_CHECKING:
    from llama_index.core.node_parser import NodeParser
    from llama_index.core.schema import BaseNode


_Place = tuple[list[str], int | None, bool]
"""The heading path, the page (from 1) and whether the chunk opens with a heading."""


Chunked = list[NewChunk] | str
"""A document's chunks, or why it cannot be cut."""


@dataclass(frozen=True)
class Cuttable:
    """A document as it is cut."""

    id: uuid.UUID
    source: str
    uri: str
    title: str
    text: str
    metadata: Mapping[str, Any]


class Cutter:
    """Cuts documents with one chunker. `fingerprint` is the chunking's, `tokenizer` the embedding's."""

    def __init__(self, chunker: NodeParser, tokenizer: Tokenizer, fingerprint: str) -> None:
        self._chunker = chunker
        self._tokenizer = tokenizer
        self._fingerprint = fingerprint
        self._lead = str(getattr(chunker, "lead", "none"))

    def cut(self, document: Cuttable) -> list[NewChunk]:
        """The chunks in reading order; none for a document without text."""
        if not document.text.strip():
            return []
        nodes = self._nodes(document)
        markdown = document.metadata.get("format") == "markdown"
        outline = _Outline.of(headings(document.text) if markdown else [])
        spans = _spans(document.text, nodes)
        places = [_place(document.text, outline, span) for span in spans]
        leads = self._leads(document.title, places)
        inputs = [embedded_input(lead, node.get_content()) for lead, node in zip(leads, nodes, strict=True)]
        lengths = self._tokenizer.count(inputs)
        limit = self._tokenizer.max_tokens
        seen: Counter[str] = Counter()
        found: list[NewChunk] = []
        parents: dict[str, uuid.UUID] = {}
        hashes: dict[tuple[str, int | None], bytes] = {}
        for ordinal, (node, span, (path, page, _)) in enumerate(zip(nodes, spans, places, strict=True)):
            text, heading = node.get_content(), " > ".join(path)
            identity = chunk_id(document.id, self._fingerprint, text, seen[text])
            if (heading, page) not in hashes:
                fields = payload(document.metadata, document.source, document.uri, document.title, heading, page)
                hashes[heading, page] = payload_hash(fields)
            found.append(
                NewChunk(
                    id=identity,
                    ordinal=ordinal,
                    text=text,
                    lead=leads[ordinal],
                    heading=heading,
                    start=span[0] if span else None,
                    end=span[1] if span else None,
                    page=page,
                    truncated=limit is not None and lengths[ordinal] + self._tokenizer.special_tokens > limit,
                    input_hash=input_key(inputs[ordinal]),
                    payload_hash=hashes[heading, page],
                    tokens=lengths[ordinal],
                    parent=_parent(node, identity, parents),
                )
            )
            seen[text] += 1
        return found

    def _nodes(self, document: Cuttable) -> list[BaseNode]:
        from llama_index.core.schema import Document

        whole = Document(text=document.text, id_=str(document.id), metadata={**document.metadata, "title": document.title})
        return [node for node in self._chunker.get_nodes_from_documents([whole]) if node.get_content().strip()]

    def _leads(self, title: str, places: Sequence[_Place]) -> list[str]:
        """The lead of each chunk; those that stand below the same heading share it."""
        made: dict[tuple[tuple[str, ...], bool], str] = {}
        for path, _, opens in places:
            if (key := (tuple(path), opens)) not in made:
                made[key] = self._make_lead(title, path, opens)
        return [made[tuple(path), opens] for path, _, opens in places]

    def _make_lead(self, title: str, path: Sequence[str], opens: bool) -> str:
        """Title or heading path; the heading that the text itself opens with is not said twice."""
        if self._lead == "none":
            return ""
        parts = list(path[:-1] if opens else path) if self._lead == "headings" else []
        if title and title not in parts and not (opens and path and path[-1] == title):
            parts.insert(0, title)
        while len(parts) > 1 and self._tokenizer.count([" > ".join(parts)])[0] > LEAD_TOKENS:
            del parts[0]
        lead = " > ".join(parts)
        if self._tokenizer.count([lead])[0] <= LEAD_TOKENS:
            return lead
        return lead[: self._tokenizer.offsets(lead)[LEAD_TOKENS - 1][1]]


def cut_or_tell(cutter: Cutter, document: Cuttable) -> Chunked:
    """The document's chunks in reading order, or why it cannot be cut: a chunker is a plugin, and may raise anything."""
    try:
        return cutter.cut(document)
    except Exception as error:  # noqa: BLE001
        return f"cannot be cut into chunks: {describe(error, document.uri)}"


def _parent(node: BaseNode, identity: uuid.UUID, known: dict[str, uuid.UUID]) -> uuid.UUID | None:
    """The identity of what the chunker says that the node was cut from."""
    related = node.parent_node
    return None if related is None else known.setdefault(related.node_id, parent_id(identity))


def _spans(text: str, nodes: Sequence[BaseNode]) -> list[tuple[int, int] | None]:
    """Where each node stands in the text: as it says itself, else where its text is found after the one before."""
    spans: list[tuple[int, int] | None] = []
    behind = 0
    for node in nodes:
        content = node.get_content()
        start = getattr(node, "start_char_idx", None)
        if start is None or text[start : start + len(content)] != content:
            found = text.find(content, behind)
            start = found if found >= 0 else text.find(content)
        if start < 0:
            spans.append(None)
            continue
        spans.append((start, start + len(content)))
        behind = start + 1
    return spans


@dataclass(frozen=True)
class _Outline:
    """Where the headings of a document start, and the path of titles that each opens; made once for all its chunks."""

    starts: Sequence[int]
    paths: Sequence[list[str]]

    @classmethod
    def of(cls, outline: Sequence[Heading]) -> _Outline:
        above: list[Heading] = []
        paths = []
        for heading in outline:
            while above and above[-1].level >= heading.level:
                above.pop()
            above.append(heading)
            paths.append([one.title for one in above if one.title])
        return cls([heading.start for heading in outline], paths)


def _place(text: str, outline: _Outline, span: tuple[int, int] | None) -> _Place:
    if span is None:
        return [], None, False
    start, _ = span
    page = text.count(PAGE_BREAK, 0, start) + 1 if PAGE_BREAK in text else None
    at = bisect_right(outline.starts, start) - 1
    return (outline.paths[at], page, outline.starts[at] == start) if at >= 0 else ([], page, False)
