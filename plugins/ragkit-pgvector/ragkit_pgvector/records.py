"""What a node becomes in PostgreSQL: a vector as text, metadata as jsonb, and what jsonb cannot hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ragkit.filters import instant

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, TextNode

_NUL = "\x00"
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Record:
    """One row. `raw` has the metadata where jsonb cannot hold it, as JSON in ASCII; `metadata` is then empty.

    Beside the metadata are, by key, what SQL cannot make of its texts as `ragkit.filters` does: of dates and times the
    microseconds since 1970, of what is not ASCII the text in folded case.
    """

    id: str
    document: str | None
    metadata: str
    raw: str | None
    moments: str | None
    folded: str | None
    content: str | None
    embedding: str


def record(node: BaseNode, vector: Sequence[float], *, store_text: bool) -> Record:
    """The row of a node."""
    metadata, raw = encode(node.metadata)
    texts = {key: value for key, value in _plain(node.metadata).items() if isinstance(value, str)} if raw is None else {}
    moments = {key: since for key, value in texts.items() if (since := microseconds(value)) is not None}
    folded = {key: value.casefold() for key, value in texts.items() if not value.isascii()}
    return Record(
        node.node_id,
        node.ref_doc_id,
        metadata,
        raw,
        json.dumps(moments) if moments else None,
        json.dumps(folded, ensure_ascii=False) if folded else None,
        _text(node) if store_text else None,
        vector_text(vector),
    )


def node(id_: str, document: str | None, content: str | None, metadata: str) -> TextNode:
    """The node that a row was made of, without its vector."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    made = TextNode(id_=id_, text=content or "", metadata=json.loads(metadata))
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


def encode(metadata: Mapping[str, Any]) -> tuple[str, str | None]:
    """The metadata as JSON for jsonb, and None; or `{}`, and as JSON in ASCII what jsonb has no form for.

    That is U+0000, half a surrogate pair, NaN and the infinities.
    """
    plain = _plain(metadata)
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        if sendable(text) and "\\u0000" not in text:
            return text, None
    except ValueError:
        pass
    return "{}", json.dumps(plain)


def number(value: float) -> str:
    """A finite number as JSON. Numbers are exact there: a whole float is written with all its digits, as Python compares it."""
    return str(int(value)) if isinstance(value, int) or value.is_integer() else float.__repr__(value)


def microseconds(text: str) -> int | None:
    """The moment that a text names, since 1970; None where it is no date or time."""
    moment = instant(text)
    return None if moment is None else moment // timedelta(microseconds=1)


def sendable(text: str) -> bool:
    """Whether PostgreSQL can hold a text: it has neither U+0000 nor half of a surrogate pair."""
    return _NUL not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def vector_text(vector: Sequence[float]) -> str:
    """As the type `vector` reads it."""
    return str([float(value) for value in vector])


def _plain(value: Any) -> Any:
    """What JSON has types for; whole floats as integers, see `number`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def _text(node: BaseNode) -> str:
    """The node's own text, without what PostgreSQL cannot hold."""
    from llama_index.core.schema import MetadataMode

    text = node.get_content(metadata_mode=MetadataMode.NONE).replace(_NUL, _REPLACEMENT)
    return text if sendable(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
