"""What a node becomes in Pinecone: a record with flat metadata of at most 40 KB, from which its own can be read again.

Pinecone keeps texts, numbers (64-bit floats), booleans and lists of texts, and its `$eq` on a list means that the list has the
value. So that each filter can be given to Pinecone with one meaning, a record has

- numbers, booleans and texts of up to `LONGEST` bytes under their own names,
- under `_in:name` the texts of a list, up to that length,
- under `_kinds` what is to know of each value: `h:name` that it is not empty, `s:name` that it is a text, `l:name` a list,
- under `_more`, as JSON, compressed where it is long, all that the others cannot give back.

None is left out. Names that begin with `_` or `$` or have a dot are in `_more` alone.
"""

from __future__ import annotations

import base64
import json
import math
import sys
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, TextNode

DOCUMENT = "_document"
KINDS = "_kinds"
MEMBERS = "_in:"
LONGEST = 512
"""A text of more bytes (UTF-8) is in `_more`, where Pinecone does not see it."""
EXACT = 2**53
"""Below this every integer is a 64-bit float, and Pinecone compares numbers as Python does."""
METADATA_BYTES = 40_000
"""Of a record, as JSON. Pinecone's limit is 40 KB; how it counts is not documented, so a little is left."""

_MORE = "_more"
_TEXT = "_text"
_PLAIN_BYTES = 1_000


def record(node: BaseNode, *, store_text: bool) -> dict[str, Any]:
    """The record of a node, as Pinecone takes it. Raises `ComponentError` for one that Pinecone would refuse."""
    values = node.get_embedding()
    if not any(values):
        raise ComponentError(
            f"the vector of chunk {node.node_id} is all zeros, which Pinecone does not take",
            component="pinecone",
            cure="look at the chunk's text and the embedding; another store takes such vectors",
        )
    native, more = _split(node.metadata)
    if node.ref_doc_id:
        native[DOCUMENT] = node.ref_doc_id
    metadata, size = _packed(native, more, plain(node) if store_text else None)
    if size > METADATA_BYTES:
        raise ComponentError(
            f"the metadata of chunk {node.node_id} (document {node.ref_doc_id}) takes {size:,} bytes; "
            f"Pinecone keeps about {METADATA_BYTES:,} per record",
            component="pinecone",
            cure="leave large fields out of the metadata, make chunks smaller, or turn `store_text` off",
        )
    return {"id": node.node_id, "values": [float(value) for value in values], "metadata": metadata}


def fields(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The node's own metadata; integers may have become floats, which are equal to them."""
    return _unpacked(metadata)[0]


def node_of(id_: str, metadata: Mapping[str, Any] | None) -> TextNode:
    """The node that a record was made of, without its vector."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    own, text = _unpacked(metadata)
    node = TextNode(id_=id_, text=text, metadata=own)
    document = (metadata or {}).get(DOCUMENT)
    if document is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=str(document))
    return node


def plain(node: BaseNode) -> str:
    """The node's text alone, without metadata."""
    from llama_index.core.schema import MetadataMode

    return node.get_content(metadata_mode=MetadataMode.NONE)


def named(key: str) -> bool:
    """Whether Pinecone can keep a value under this name, and filter by it."""
    return bool(key) and not key.startswith(("_", "$")) and "." not in key and short(key)


def short(text: str) -> bool:
    """Whether Pinecone sees a text as it is."""
    try:
        return len(text) <= LONGEST and len(text.encode()) <= LONGEST
    except UnicodeEncodeError:  # half of a pair of UTF-16, which JSON cannot carry
        return False


def _split(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Pinecone can filter by, and what only `_more` can give back."""
    native: dict[str, Any] = {}
    more: dict[str, Any] = {}
    kinds: list[str] = []
    for key, item in metadata.items():
        if item is None:
            continue
        if not named(key):
            more[key] = item
            continue
        kinds += [f"{kind}:{key}" for kind in _kinds(item)]
        if isinstance(item, list):
            members = list(dict.fromkeys(member for member in item if isinstance(member, str) and short(member)))
            if members:
                native[MEMBERS + key] = members
            if not members or members != item:
                more[key] = item
            continue
        value = _scalar(item)
        if value is not None:
            native[key] = value
        if value is None or value != item:
            more[key] = item
    if kinds:
        native[KINDS] = kinds
    return native, more


def _scalar(item: Any) -> str | float | bool | None:
    """As Pinecone's own types, None where there is none. A number beyond them is the nearest that there is: enough for `>`."""
    if isinstance(item, str):
        return item if short(item) else None
    if isinstance(item, bool):
        return item
    if isinstance(item, int):
        return item if abs(item) < EXACT else _nearest(item)
    if isinstance(item, float) and not math.isnan(item):
        return item if math.isfinite(item) else math.copysign(sys.float_info.max, item)
    return None


def _nearest(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return sys.float_info.max if number > 0 else -sys.float_info.max


def _kinds(item: Any) -> str:
    kind = "s" if isinstance(item, str) else "l" if isinstance(item, list) else ""
    return kind if item in ("", []) else f"{kind}h"


def _packed(native: Mapping[str, Any], more: Mapping[str, Any], text: str | None) -> tuple[dict[str, Any], int]:
    """The metadata of a record and its size; a text lies there in plain if it can, else with `_more`."""
    metadata = {**native, **({_MORE: _pack([more])} if more else {})}
    if text is not None:
        with_text = {**metadata, _TEXT: text}
        if (size := _size(with_text)) <= METADATA_BYTES:
            return with_text, size
        metadata[_MORE] = _pack([more, text])
    return metadata, _size(metadata)


def _unpacked(metadata: Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    metadata = metadata or {}
    own = {key: value for key, value in metadata.items() if not key.startswith("_")}
    own.update((key.removeprefix(MEMBERS), value) for key, value in metadata.items() if key.startswith(MEMBERS))
    more, *text = _unpack(metadata[_MORE]) if _MORE in metadata else [{}]
    return {**own, **more}, str(metadata.get(_TEXT, text[0] if text else ""))


def _pack(value: Sequence[Any]) -> str:
    text = json.dumps(value, default=str, separators=(",", ":"))
    return text if len(text) <= _PLAIN_BYTES else base64.b85encode(zlib.compress(text.encode())).decode()


def _unpack(text: str) -> list[Any]:
    packed = text if text.startswith("[") else zlib.decompress(base64.b85decode(text))  # base 85 here has no bracket
    value: list[Any] = json.loads(packed)
    return value


def _size(metadata: Mapping[str, Any]) -> int:
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))
