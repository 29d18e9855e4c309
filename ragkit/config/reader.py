"""YAML 1.2 (core schema) to plain values, and where each of them stands.

PyYAML does the grammar; which scalar is a number or a boolean is decided here: `yes`, `no`, `on` and `off` are text,
octal is `0o17`, there are no dates and no base 60. In a text, `${NAME}` and `${NAME:-default}` read the environment, and
`$${` is a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ragkit.errors import ConfigError, Problem

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": ("~|null|Null|NULL|", lambda text: None),
    "bool": ("true|True|TRUE|false|False|FALSE", lambda text: ("false", "true").index(text.lower()) == 1),
    "int": ("[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", lambda text: int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        lambda text: float(re.sub(r"(?i)\.(inf|nan)", r"\1", text)),
    ),
}
_HINTS = {
    r"'\t' that cannot start": "a tab; YAML is indented and spaced with blanks",
    "${": 'a variable within { } or [ ] needs quotes: "${NAME}"',
    "another document": "a second document; a configuration is one (remove the '---')",
    "mapping values are not allowed here": (
        "a ':' where none may stand; check the indentation, or put a value that holds ': ' in quotes"
    ),
}
"""What is behind an error of PyYAML, by what it says or by the characters where it stands."""
_UNREADABLE = {FileNotFoundError: "there is no such file", IsADirectoryError: "is a folder, not a YAML file"}
_VARIABLES_ARE = "write ${NAME} or ${NAME:-default}, and $${ for a literal ${"
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^{}]*))?\}|\$\{([^{}]*\})?")


Parts = tuple[str, ...]
"""A path such as `sources.0.path`, in its parts."""


class Mark(NamedTuple):
    """A position, counted from 1; line 0 where a value came from no file."""

    file: str = ""
    line: int = 0
    column: int = 0


class Place(NamedTuple):
    """Where a value and its key stand. What follows from a `broken` value, whose problem was told, is not told again."""

    value: Mark = Mark()
    key: Mark = Mark()
    broken: bool = False


class Text(str):
    """A text of a YAML file: relative paths in it start at `folder`, and no message repeats the value of its `variables`."""

    folder: Path | None = None
    variables: tuple[str, ...] = ()


class Loader(yaml.BaseLoader):
    """PyYAML's composer with the tags of YAML 1.2's core schema, and nothing that makes objects."""


for _kind, (_pattern, _) in _SCALARS.items():
    Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"^(?:{_pattern})$"), None)


def read_text(path: Path) -> str:
    """The text of a file, or a `ConfigError` with what hinders it."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError([Problem("", f"is larger than {MAX_BYTES // 1_000_000} MB; that is no configuration", str(path))])
        return raw.decode("utf-8-sig")
    except OSError as error:
        told = _UNREADABLE.get(type(error), f"cannot be read: {error.strerror or error}")
        raise ConfigError([Problem("", told, str(path))]) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        told = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError([Problem("", told, str(path), *_position(before, len(before)))]) from None


class Reader:
    """Reads one text. `file` is its name in messages, `folder` where its relative paths start; None where it is no file.

    `places` says where each value stands. What is wrong is added to `problems`; its value is None, at a broken place.
    """

    def __init__(self, file: str, folder: Path | None, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self.places: dict[Parts, Place] = {}
        self.problems = problems
        self._file = file
        self._folder = folder
        self._environ = environ
        self._count = 0

    def read(self, text: str, path: Parts = ()) -> Any:
        """The values of the text, which stands at `path`; `ConfigError` where there is nothing to go on with."""
        mark = Mark(self._file)
        try:
            root = Loader(text).get_single_node()
        except yaml.MarkedYAMLError as error:
            place: Any = error.problem_mark or error.context_mark
            mark, at = self._mark(place), place.index
            told = ", ".join(filter(None, (error.context, error.problem)))
            seen = f"{text[max(at - 1, 0) : at + 1]} {told}"
            told = next((hint for sign, hint in _HINTS.items() if sign in seen), " ".join(told.split()))
        except yaml.reader.ReaderError as error:
            mark = Mark(self._file, *_position(text, error.position))
            told = f"a character that no YAML file may hold (U+{error.character:04X})"
        except (RecursionError, ValueError, OverflowError) as error:
            told = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        else:
            return None if root is None else self._value(root, path, None, ())
        raise ConfigError([Problem(".".join(path), f"not valid YAML: {told}", *mark)])

    def _mark(self, mark: yaml.Mark) -> Mark:
        return Mark(self._file, mark.line + 1, mark.column + 1) if self._folder else Mark(self._file)

    def _value(self, node: yaml.Node, path: Parts, key: Mark | None, above: tuple[yaml.Node, ...]) -> Any:
        """The value of a node whose `key` stands there, within the nodes `above`."""
        mark, kind = self._mark(node.start_mark), node.tag.removeprefix(_TAG)
        self._count += 1
        if self._count > MAX_VALUES:
            raise ConfigError([Problem("", f"more than {MAX_VALUES} values; are aliases nested?", *mark)])
        value: Any = None
        told = ""
        if node in above or len(above) > MAX_DEPTH:
            told = "an alias stands within what it stands for" if node in above else "nested too deeply"
        elif isinstance(node, yaml.MappingNode) and kind == "map":
            value = self._mapping(node, path, (*above, node))
        elif isinstance(node, yaml.SequenceNode) and kind == "seq":
            value = [self._value(item, (*path, str(at)), None, (*above, node)) for at, item in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode) and (kind == "str" or kind in _SCALARS):
            try:
                value = self._text(node.value) if kind == "str" else _SCALARS[kind][1](node.value)
            except ValueError as error:
                told = str(error) if kind == "str" else f"cannot be read as !!{kind}"
        else:
            told = f"the tag {node.tag.replace(_TAG, '!!')} means nothing here; remove it"
        self.places[path] = Place(mark, key or mark, broken=bool(told))
        if told:
            self.problems.append(Problem(".".join(path), told, *mark))
        return value

    def _mapping(self, node: yaml.MappingNode, path: Parts, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark, key = self._mark(key_node.start_mark), str(key_node.value)
            inner = (*path, key)
            if not isinstance(key_node, yaml.ScalarNode):
                inner, told = path, "a key must be a plain word"
            elif key == "<<" and key_node.style is None:
                told = "merge keys are no part of YAML 1.2; write the keys out, or use extends"
            elif key in found:
                told = f"stands here a second time; the first is in line {self.places[inner].key.line}"
            else:
                found[key] = self._value(value_node, inner, mark, above)
                continue
            self.problems.append(Problem(".".join(inner), told, *mark))
        return found

    def _text(self, text: str) -> Text:
        """The text with its variables replaced. As in a shell, `:-` covers the empty value too."""
        used: list[str] = []

        def replaced(match: re.Match[str]) -> str:
            name, default = match["name"], match["default"]
            if match[0] == "$${":
                return "${"
            if name is None:
                raise ValueError(f"'{match[0]}' is not a variable; {_VARIABLES_ARE}")
            value = self._environ.get(name)
            if default is not None and not value:
                return str(default)
            if value is None:
                raise ValueError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
            used.append(name)
            return value

        made = Text(_VARIABLE.sub(replaced, text))
        made.folder, made.variables = self._folder, tuple(used)
        return made


def _position(text: str, at: int) -> tuple[int, int]:
    """The line and column of a character, counted from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
