"""The tree that a YAML file becomes: values that know where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A place in a file, counted from 1; line 0 where the value came from no file."""

    file: str = ""
    line: int = 0
    column: int = 0


class Text(str):
    """A string of a YAML file.

    `folder` is what a relative path in it is relative to; `variables` are the environment variables in it, whose values
    no message repeats.
    """

    __slots__ = ("folder", "variables")
    folder: Path
    variables: tuple[str, ...]

    @classmethod
    def of(cls, text: str, folder: Path, variables: Sequence[str] = ()) -> Text:
        """`text` with what it remembers."""
        made = cls(text)
        made.folder, made.variables = folder, tuple(variables)
        return made


@dataclass(frozen=True)
class Node:
    """A scalar, a tuple of nodes or a dict of nodes; `key` is where its key stands.

    A `broken` one has had its problem reported; what follows from it is not reported again.
    """

    value: Any
    mark: Mark = Mark()
    key: Mark | None = None
    broken: bool = False

    def children(self) -> dict[str | int, Node]:
        """The nodes right below this one, by key or index."""
        if isinstance(self.value, dict):
            return self.value
        return dict(enumerate(self.value)) if isinstance(self.value, tuple) else {}

    def plain(self) -> Any:
        """The values alone, as mappings and lists."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, tuple) else self.value

    def deepest(self, loc: Sequence[str | int]) -> tuple[Node, Loc]:
        """The node at `loc`, or the last one on the way to it, with the part of `loc` that exists."""
        node = self
        for depth, part in enumerate(loc):
            below = node.children().get(part)
            if below is None:
                return node, tuple(loc[:depth])
            node = below
        return node, tuple(loc)


def from_plain(value: Any) -> Node:
    """The tree of values that were given in Python."""
    if isinstance(value, Mapping):
        return Node({str(key): from_plain(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Node(tuple(from_plain(item) for item in value))
    return Node(value)


def dotted(loc: Sequence[str | int]) -> str:
    """A location as messages and `--set` write it: `sources.0.path`."""
    return ".".join(map(str, loc))
