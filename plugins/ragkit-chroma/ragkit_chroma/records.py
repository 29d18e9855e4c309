"""What a node becomes in Chroma: flat metadata of the types that Chroma keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

DOCUMENT = "_document"
"""The metadata key with the id of the document that a chunk comes from."""
MARK = "ragkit:"
"""What the keys of ragkit's mark begin with in the collection's own metadata."""

_LARGEST = 2**63 - 1


def values(node: BaseNode) -> dict[str, Any]:
    """The node's metadata as Chroma can keep it, with its document's id.

    None, NaN and empty lists are left out; a list of several types becomes strings; nested values are left out.
    """
    kept = {key: value for key, item in node.metadata.items() if _name(key) and (value := _value(item)) is not None}
    if node.ref_doc_id:
        kept[DOCUMENT] = node.ref_doc_id
    return kept or {DOCUMENT: ""}


def plain(node: BaseNode) -> str:
    """The node's text alone, without metadata."""
    from llama_index.core.schema import MetadataMode

    return node.get_content(metadata_mode=MetadataMode.NONE)


def _name(key: str) -> bool:
    return bool(key) and not key.startswith(("$", "#", "chroma:"))


def _value(item: Any) -> Any:
    if isinstance(item, bool | str):
        return item
    if isinstance(item, int):
        return item if abs(item) <= _LARGEST else float(item)
    if isinstance(item, float):
        return None if item != item else item  # noqa: PLR0124  NaN alone differs from itself
    if isinstance(item, list | tuple):
        return _list([member for member in map(_value, item) if member is not None and not isinstance(member, list)])
    return None


def _list(members: list[Any]) -> list[Any] | None:
    if len({type(member) for member in members}) > 1:
        numbers = all(isinstance(member, int | float) and not isinstance(member, bool) for member in members)
        members = [float(member) if numbers else str(member) for member in members]
    return members or None
