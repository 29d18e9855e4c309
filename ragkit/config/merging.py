"""Putting configurations over one another: `extends: base.yaml`, and `--set key.path=value`.

Mappings merge key by key; anything else replaces. A component that is given another `use` replaces the base's as a
whole, so that no option of one component reaches another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ragkit.config.nodes import Node
from ragkit.config.settings import SINGLE, default_use


class OverrideError(ValueError):
    """An override that has no place to go; its text is the message."""


def merged(base: Node, over: Node) -> Node:
    """`over` laid over `base`; both are whole configurations."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    entries = dict(base.value)
    for key, node in over.value.items():
        below = entries.get(key)
        if below is not None and key in SINGLE:
            entries[key] = _merged(_as_mapping(below, key), _as_mapping(node))
        else:
            entries[key] = node if below is None else _merged(below, node)
    return replace(over, value=entries, broken=base.broken or over.broken)


def _merged(base: Node, over: Node) -> Node:
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    if "use" in over.value and _word(over.value["use"]) != _word(base.value.get("use")):
        return over
    below = base.value
    entries = {**below, **{key: _merged(below[key], node) if key in below else node for key, node in over.value.items()}}
    return replace(over, value=entries)


def _word(node: Node | None) -> Any:
    return node.value if node is not None else None


def _as_mapping(node: Node, key: str = "") -> Node:
    """A component's bare name as `{use: name}`; with `key`, one without `use` is given the default that it means."""
    if isinstance(node.value, str):
        return replace(node, value={"use": node})
    if isinstance(node.value, dict) and "use" not in node.value and (use := default_use(key) if key else None):
        return replace(node, value={"use": Node(use, node.mark), **node.value})
    return node


def overridden(root: Node, path: list[str], value: Node) -> Node:
    """The tree with `value` at `path`; indices count from 0, a bare component name is opened, and a missing mapping is made."""
    key, *rest = path
    if isinstance(root.value, tuple):
        if not key.isdecimal() or int(key) >= len(root.value):
            count = len(root.value)
            raise OverrideError(f"there is no entry {key!r}; the list has {count}, counted from 0")
        at = int(key)
        items = list(root.value)
        items[at] = overridden(items[at], rest, value) if rest else value
        return replace(root, value=tuple(items))
    opened = _as_mapping(root)
    entries = dict(opened.value) if isinstance(opened.value, dict) else {}
    if key == "use" and not rest and _word(entries.get("use")) != value.value:
        entries = {}
    entries[key] = overridden(entries.get(key, Node({}, value.mark)), rest, value) if rest else value
    return replace(opened, value=entries)
