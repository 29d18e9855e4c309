"""Where an answer comes from: a passage in its document, why it was found, and what the query did."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.errors import RagkitError
from ragkit.pipeline import Pipeline

if TYPE_CHECKING:
    from ragkit.state.reader import Reader
    from ragkit.state.records import DocumentRecord

_NOT_TOLD = ("file_type", "format")
AROUND_CHARS = 20_000
"""So much of a document is shown on each side of a passage."""


@dataclass(frozen=True)
class Excerpt:
    """A passage in its document: the text before it, the passage, the text after it.

    `missing` says why that is not the document's text of today but what was kept with the answer; `cut` whether the document
    goes on at either end.
    """

    before: str
    marked: str
    after: str
    missing: str = ""
    cut: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Stage:
    """How a chunk stood at a stage of the query; None is what it has not."""

    name: str
    score: float | None
    rank: int | None


@dataclass(frozen=True)
class Shown:
    """A passage of an answer, for the panel. `number` is its citation's, 0 for a passage that the answer does not cite."""

    number: int
    rank: int
    uri: str
    excerpt: Excerpt
    source: str = ""
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()


def passage(pipeline: Pipeline, answer: Mapping[str, Any], *, number: int = 0, rank: int = 0) -> Shown | None:
    """What citation `number`, or else the hit of `rank`, shows; None where the answer has none such."""
    cited = next((item for item in answer.get("citations") or () if item["n"] == number), None)
    hits = answer.get("hits") or ()
    wanted = cited["chunk_id"] if cited else None
    hit = next((item for item in hits if item["chunk_id"] == wanted or (cited is None and item["rank"] == rank)), None)
    if cited is None and hit is None:
        return None
    found: Mapping[str, Any] = hit or cited or {}
    quote, start = (str(cited["quote"]), int(cited["start"])) if cited else (str(found["text"]), None)
    metadata = dict(found.get("metadata") or {})
    return Shown(
        number=number if cited else 0, rank=int(found.get("rank", 0)), uri=str(found["uri"]), source=str(found.get("source", "")),
        title=str(metadata.pop("title", "") or ""), metadata=_facts(metadata),
        excerpt=_excerpt(pipeline, str(found["chunk_id"]), str(found["document_id"]), quote, start),
        stages=_stages(found, answer),
    )  # fmt: skip


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a passage, its place in the document first."""
    places = ("heading", "page")
    order = [*places, *(name for name in metadata if name not in places)]
    return {name: metadata[name] for name in order if metadata.get(name) and name not in _NOT_TOLD}


def _stages(hit: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[Stage, ...]:
    """The chunk's scores and ranks in the order in which the stages ran."""
    scores, ranks = hit.get("scores") or {}, hit.get("ranks") or {}
    order = [stage["name"] for stage in (answer.get("trace") or {}).get("stages") or ()]
    names = [name for name in order if name in scores or name in ranks]
    names += [name for name in scores if name not in names]
    return tuple(Stage(name, scores.get(name), ranks.get(name)) for name in names)


def _excerpt(pipeline: Pipeline, chunk: str, document: str, quote: str, start: int | None) -> Excerpt:
    try:
        with pipeline.reader() as reader:
            found = _document(reader, chunk, document)
    except RagkitError as error:
        return Excerpt("", quote, "", f"The document cannot be read now: {error.message}. This is what the answer quoted.")
    if found is None:
        return Excerpt("", quote, "", "The document is no longer in the index. This is what the answer quoted.")
    text = found.text
    if start is None:
        start = text.find(quote)
    if start < 0 or text[start : start + len(quote)] != quote:
        return Excerpt("", quote, "", "The document has changed since, or the passage is not written so in it. "
                       "This is what the answer quoted.")  # fmt: skip
    end = start + len(quote)
    first, last = max(0, start - AROUND_CHARS), end + AROUND_CHARS
    return Excerpt(text[first:start], quote, text[end:last], cut=(first > 0, last < len(text)))


def _document(reader: Reader, chunk: str, document: str) -> DocumentRecord | None:
    """The version that the chunk was cut from, which the offsets refer to; where that is gone, the current one."""
    try:
        uuid.UUID(chunk), uuid.UUID(document)
    except ValueError:
        return None
    return reader.document_of(chunk) or reader.document(document)
