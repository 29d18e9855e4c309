"""What a node becomes in Chroma: flat metadata of the types that Chroma keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode, TextNode

DOCUMENT = "_document"
"""The metadata key with the id of the document that a chunk comes from."""
MORE = "_more"
"""The metadata key with the fields that Chroma cannot keep as they are, as JSON."""
MARK = "ragkit:"
"""What the keys of ragkit's mark begin with in the collection's own metadata."""

_LARGEST = 2**63 - 1


def values(node: BaseNode) -> dict[str, Any]:
    """The node's metadata as Chroma can keep it, with its document's id.

    What Chroma has no type for (nested values, lists of several types, NaN, some names) goes into one field as JSON, so that
    filters find it. A large integer is there in both forms, as its nearest float for comparisons. None is left out.
    """
    kept: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for key, given in node.metadata.items():
        item = str(given) if isinstance(given, date) else given
        value = _value(item) if filterable(key) else None
        if value is not None:
            kept[key] = value
        if item is not None and value != item:
            more[key] = item
    if more:
        kept[MORE] = json.dumps(more, ensure_ascii=False, default=str)
    if node.ref_doc_id:
        kept[DOCUMENT] = node.ref_doc_id
    return kept or {DOCUMENT: ""}


def fields(record: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata that a record was made of; numbers of a list may have become floats."""
    if not record:
        return {}
    own = {key: value for key, value in record.items() if key not in (DOCUMENT, MORE)}
    return {**own, **json.loads(record[MORE])} if MORE in record else own


def filterable(key: str) -> bool:
    """Whether Chroma can keep a field under this name, and filter by it."""
    return bool(key) and key not in (DOCUMENT, MORE) and not key.startswith(("$", "#", "chroma:"))


def plain(node: BaseNode) -> str:
    """The node's text alone, without metadata."""
    from llama_index.core.schema import MetadataMode

    return node.get_content(metadata_mode=MetadataMode.NONE)


def node_of(id_: str, text: str | None, record: Mapping[str, Any] | None) -> TextNode:
    """The chunk that a record was made of, without its vector."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    node = TextNode(id_=id_, text=text or "", metadata=fields(record))
    document = (record or {}).get(DOCUMENT)
    if document is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=str(document))
    return node


def parcels(nodes: Sequence[BaseNode], records: int, weight: int | None, *, with_text: bool) -> Iterator[list[BaseNode]]:
    """Consecutive parts of at most so many records and, as far as single records allow, about so many bytes of JSON."""
    parcel: list[BaseNode] = []
    weighs = 0
    for node in nodes:
        own = 0 if weight is None else _weight(node, with_text=with_text)
        if parcel and (len(parcel) == records or (weight is not None and weighs + own > weight)):
            yield parcel
            parcel, weighs = [], 0
        parcel.append(node)
        weighs += own
    if parcel:
        yield parcel


def _weight(node: BaseNode, *, with_text: bool) -> int:
    """Bytes of the record as JSON, from above: a character takes six at most, a number of a vector as base64 under six."""
    text = len(plain(node)) if with_text else 0
    return 6 * (len(node.get_embedding()) + text + len(str(node.metadata)))


def _value(item: Any) -> Any:
    """As Chroma's own types, or None where there is none for it."""
    if isinstance(item, bool | str):
        return item
    if isinstance(item, int):
        return item if abs(item) <= _LARGEST else _float(item)
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if isinstance(item, list):
        return _list([_value(member) for member in item])
    return None


def _float(item: int) -> float | None:
    try:
        return float(item)
    except OverflowError:
        return None


def _list(members: list[Any]) -> list[Any] | None:
    """Chroma's lists have members of one type, and at least one."""
    kinds = {type(member) for member in members}
    if kinds == {int, float}:
        return [float(member) for member in members]
    return members if len(kinds) == 1 and kinds <= {str, int, float, bool} else None
