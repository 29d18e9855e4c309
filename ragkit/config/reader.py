"""YAML 1.2 (core schema) to nodes. PyYAML does the grammar; which scalar is a number or a boolean is decided here.

`yes`, `no`, `on` and `off` are strings, octal is `0o17`, there are no dates and no base 60. Problems are collected, so
that one reading finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ragkit.config.nodes import Loc, Mark, Node, Text, dotted
from ragkit.config.variables import VariableError, expand
from ragkit.errors import Problem

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"


class Loader(yaml.BaseLoader):
    """PyYAML's composer with the tags of YAML 1.2's core schema, and nothing that makes objects."""


Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"^(?:~|null|Null|NULL|)$"), None)
Loader.add_implicit_resolver(f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), None)
Loader.add_implicit_resolver(f"{_TAG}int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), None)
Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    None,
)


class Unreadable(Exception):
    """The text is not YAML at all, so that there is nothing to go on with; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def read_text(path: Path, shown: str) -> str:
    """The text of a file, or `Unreadable` with what hinders it."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(Problem("", "there is no such file", file=shown)) from None
    except IsADirectoryError:
        raise Unreadable(Problem("", "is a folder, not a YAML file", file=shown)) from None
    except OSError as error:
        raise Unreadable(Problem("", f"cannot be read: {error.strerror or error}", file=shown)) from None
    if len(raw) > MAX_BYTES:
        raise Unreadable(Problem("", f"is larger than {MAX_BYTES // 1_000_000} MB; that is no configuration", file=shown))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        told = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise Unreadable(Problem("", told, shown, line, column)) from None


class Reader:
    """Reads one text. `shown` is the file's name in messages, `folder` where its relative paths start.

    `problems` collects what is wrong; a value with a problem becomes a broken node. `positions` is off for a text that
    is no file.
    """

    def __init__(self, shown: str, folder: Path, environ: Mapping[str, str], *, positions: bool = True) -> None:
        self.problems: list[Problem] = []
        self._shown = shown
        self._positions = positions
        self._folder = folder
        self._environ = environ
        self._count = 0
        self._above: list[yaml.Node] = []

    def read(self, text: str) -> Node | None:
        """The tree, or None for an empty text; `Unreadable` where the grammar is broken."""
        try:
            root = Loader(text).get_single_node()
        except yaml.MarkedYAMLError as error:
            raise Unreadable(self._syntax(error, text)) from None
        except yaml.reader.ReaderError as error:
            line, start = text.count("\n", 0, error.position) + 1, text.rfind("\n", 0, error.position)
            told = f"not valid YAML: a character that no YAML file may hold (U+{error.character:04X})"
            raise Unreadable(Problem("", told, self._shown, line, error.position - start)) from None
        except (RecursionError, ValueError, OverflowError) as error:
            told = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise Unreadable(Problem("", f"not valid YAML: {told}", file=self._shown)) from None
        return None if root is None else self._node(root, (), None)

    def _mark(self, mark: Any) -> Mark:
        return Mark(self._shown, mark.line + 1, mark.column + 1) if self._positions else Mark(self._shown)

    def _problem(self, mark: Mark, loc: Loc, message: str) -> None:
        self.problems.append(Problem(dotted(loc), message, mark.file, mark.line, mark.column))

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> Problem:
        mark = error.problem_mark or error.context_mark
        place = Mark(self._shown) if mark is None else self._mark(mark)
        told, at = str(error.problem or error.context), (mark.index or 0) if mark is not None else 0
        if text[at : at + 1] == "\t":
            told = "a tab; YAML is indented and spaced with blanks"
        elif text[max(at - 1, 0) : at + 1] == "${":
            told = 'a variable within { } or [ ] needs quotes: "${NAME}"'
        elif "another document" in told:
            told = "a second document; a configuration is one (remove the '---')"
        elif told == "mapping values are not allowed here":
            told = "a ':' where none may stand; check the indentation, or put a value that holds ': ' in quotes"
        elif error.context and error.problem:
            told = f"{error.context}, {told}"
        return Problem("", f"not valid YAML: {' '.join(told.split())}", place.file, place.line, place.column)

    def _node(self, node: yaml.Node, loc: Loc, key: Mark | None) -> Node:
        mark = self._mark(node.start_mark)
        self._count += 1
        if self._count > MAX_NODES:
            raise Unreadable(Problem("", f"more than {MAX_NODES} values; are aliases nested?", mark.file, mark.line, mark.column))
        if node in self._above or len(self._above) > MAX_DEPTH:
            told = "an alias stands within what it stands for" if node in self._above else "nested too deeply"
            self._problem(mark, loc, told)
            return Node(None, mark, key, broken=True)
        self._above.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
                return Node(self._entries(node, loc), mark, key)
            if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
                return Node(tuple(self._node(item, (*loc, at), None) for at, item in enumerate(node.value)), mark, key)
            return self._scalar(node, mark, loc, key)
        finally:
            self._above.pop()

    def _entries(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self._mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(place, loc, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                self._problem(place, (*loc, key), "merge keys are no part of YAML 1.2; write the keys out, or use extends")
            elif key in entries:
                first = entries[key].key
                told = f"stands here a second time; the first is in line {first.line}" if first else "stands here twice"
                self._problem(place, (*loc, key), told)
            else:
                entries[key] = self._node(value_node, (*loc, key), place)
        return entries

    def _scalar(self, node: yaml.Node, mark: Mark, loc: Loc, key: Mark | None) -> Node:
        try:
            return Node(self._value(node), mark, key)
        except VariableError as error:
            told = str(error)
        except ValueError:
            told = f"cannot be read as !!{node.tag.removeprefix(_TAG)}"
        self._problem(mark, loc, told)
        return Node(None, mark, key, broken=True)

    def _value(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode) or not node.tag.startswith(_TAG):
            raise VariableError(f"the tag {node.tag!r} means nothing here; remove it")
        text, kind = str(node.value), node.tag.removeprefix(_TAG)
        match kind:
            case "str":
                expanded, used = expand(text, self._environ)
                return Text.of(expanded, self._folder, used)
            case "null":
                return None
            case "bool":
                return ("false", "true").index(text.lower()) == 1
            case "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(re.sub(r"(?i)\.(inf|nan)", r"\1", text))
            case _:
                raise VariableError(f"the tag !!{kind} means nothing here; remove it")
