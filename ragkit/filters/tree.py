"""A filter as a small frozen tree: what the language is read into, and how it is written again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ragkit.filters.meaning import no_date

Value = str | int | float | bool

KEYWORDS = frozenset({"and", "or", "not", "in", "contains", "exists"})
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
CONSTANTS = {"true": True, "false": False, "null": None}
_BARE = re.compile(r"""[^\s()\[\],=!<>"']+""")


@dataclass(frozen=True)
class Filter:
    """A part of a filter, or a whole one. `str` writes it in the language, so that reading that gives an equal tree."""


@dataclass(frozen=True)
class Comparison(Filter):
    """A key compared with a value. `operator` is `==`, `!=`, `>`, `>=`, `<`, `<=`, `contains`, or `in` and `nin` with a tuple."""

    key: str
    operator: str
    value: Value | tuple[Value, ...]

    def __str__(self) -> str:
        written = {"==": "=", "nin": "not in"}.get(self.operator, self.operator)
        if isinstance(self.value, tuple):
            return f"{_text(self.key)} {written} [{', '.join(map(_value, self.value))}]"
        return f"{_text(self.key)} {written} {_value(self.value)}"


@dataclass(frozen=True)
class Exists(Filter):
    """The key has a value other than None, an empty text and an empty list."""

    key: str

    def __str__(self) -> str:
        return f"exists {_text(self.key)}"


@dataclass(frozen=True)
class Not(Filter):
    """The part does not hold."""

    part: Filter

    def __str__(self) -> str:
        return f"not {_nested(self.part)}"


@dataclass(frozen=True)
class And(Filter):
    """All parts hold; there are two or more."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(map(_nested, self.parts))


@dataclass(frozen=True)
class Or(Filter):
    """Some part holds; there are two or more."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(map(_nested, self.parts))


def operators(part: Any) -> set[str]:
    """The operators and conditions of a tree or of LlamaIndex's filters, by LlamaIndex's names.

    A condition that joins nothing is none.
    """
    if isinstance(part, Comparison):
        return {part.operator}
    if isinstance(part, Exists):
        return {"is_empty", "not"}
    if isinstance(part, Not):
        return {"is_empty"} if isinstance(part.part, Exists) else {"not"} | operators(part.part)
    if isinstance(part, And | Or):
        return set().union({"and" if isinstance(part, And) else "or"}, *map(operators, part.parts))
    if hasattr(part, "key"):
        return {str(getattr(part.operator, "value", part.operator))}
    condition = str(getattr(part.condition, "value", part.condition) or "and")
    joins = len(part.filters) > 1 or condition == "not"
    return set().union(*map(operators, part.filters), {condition} if joins else ())


def _nested(part: Filter) -> str:
    return f"({part})" if isinstance(part, And | Or) else str(part)


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """A text without quotes where it is read as the same text."""
    special = text.lower() in KEYWORDS | CONSTANTS.keys() or NUMBER.fullmatch(text) or no_date(text)
    if _BARE.fullmatch(text) and not special:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
