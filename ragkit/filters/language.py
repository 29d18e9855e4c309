"""The filter language of the YAML, the command line and Python.

    year >= 2020 and (category in [article, post] or not draft = true) and exists author

A value is a number, `true`, `false`, a text in single or double quotes (a backslash takes the next character as it is), or a
bare word, which is a text too; a date is a bare word. `not` binds tighter than `and`, and `and` tighter than `or`. What is
read means what `ragkit.filters.meaning` says.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ragkit.errors import FilterError
from ragkit.filters.meaning import no_date
from ragkit.filters.tree import CONSTANTS, NUMBER, And, Comparison, Exists, Filter, Not, Or, Value

if TYPE_CHECKING:
    from lark import Lark, Token

MAX_CHARS = 20_000
MAX_DEPTH = 50

_GRAMMAR = r"""
    ?either: both (_OR both)*
    ?both: term (_AND term)*
    ?term: comparison | "(" either ")" | _NOT term -> negated
    comparison: _value COMPARED _value -> compared
        | _value _IN list -> within
        | _value _NOT _IN list -> without
        | _value _CONTAINS _value -> holding
        | _value _NOT _CONTAINS _value -> lacking
        | _value _EXISTS -> existing
        | _value _NOT _EXISTS -> absent
        | _EXISTS_FIRST _value -> existing
    list: "[" _value ("," _value)* "]"
    _value: WORD | STRING

    COMPARED: "==" | "!=" | ">=" | "<=" | "=" | ">" | "<"
    STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
    WORD: /[^\s()\[\],=!<>"']+/
    _OR.2: /or(?=[\s("']|$)/i
    _AND.2: /and(?=[\s("']|$)/i
    _NOT.2: /not(?=[\s("']|$)/i
    _IN.2: /in(?=[\s\[]|$)/i
    _CONTAINS.2: /contains(?=[\s"']|$)/i
    _EXISTS.2: /exists(?=[\s)]|$)/i
    _EXISTS_FIRST.2: /exists(?=\s*["']|\s+(?!(in|contains|not|exists)([\s\["'()]|$))[^\s=!<>()])/i
    %ignore /\s+/
"""
_STRING = re.compile(r""""(\\.|[^"\\])*"|'(\\.|[^'\\])*'""", re.DOTALL)


def parse(text: str) -> Filter:
    """A filter as it was written, read. What cannot be read is a `FilterError` with its position."""
    from lark import UnexpectedInput, UnexpectedToken

    if len(text) > MAX_CHARS:
        raise FilterError(f"a filter has at most {MAX_CHARS:,} characters", MAX_CHARS + 1)
    try:
        text.encode()
        tree: Any = _parser().parse(text)
    except UnicodeEncodeError as error:  # what the shell handed over was not UTF-8
        raise FilterError("a character that is no text", error.start + 1) from None
    except UnexpectedInput as error:
        ends = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(text.rstrip()) if ends else error.pos_in_stream or 0
        raise FilterError(_wrong(text, position), position + 1) from None
    if _depth(tree) > MAX_DEPTH:
        raise FilterError(f"nested more than {MAX_DEPTH} deep", 1)
    return tree  # type: ignore[no-any-return]  # lark knows no type of what a transformer makes


def _wrong(text: str, position: int) -> str:
    rest = text[position:].split(maxsplit=1)
    if not rest:
        return "more should follow" if text.strip() else "is empty"
    if rest[0][0] in "\"'" and not _STRING.match(text, position):
        return "the quotation mark is not closed"
    return f"{_short(rest[0])!r} cannot stand here"


def _short(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:37]}…"


@cache
def _parser() -> Lark:
    from lark import Lark, Transformer

    class Reading(Transformer[Any, Any]):
        """Makes the tree while the parser goes, so that no depth is too deep for it."""

        def compared(self, parts: list[Any]) -> Filter:
            key, operator, value = parts
            return Comparison(_text(key), {"=": "=="}.get(operator, str(operator)), _value(value, ordered=operator[0] in "<>"))

        def within(self, parts: list[Any]) -> Filter:
            return Comparison(_text(parts[0]), "in", parts[1])

        def without(self, parts: list[Any]) -> Filter:
            return Comparison(_text(parts[0]), "nin", parts[1])

        def holding(self, parts: list[Any]) -> Filter:
            return Comparison(_text(parts[0]), "contains", _value(parts[1]))

        def lacking(self, parts: list[Any]) -> Filter:
            return Not(self.holding(parts))

        def existing(self, parts: list[Any]) -> Filter:
            return Exists(_text(parts[0]))

        def absent(self, parts: list[Any]) -> Filter:
            return Not(self.existing(parts))

        def negated(self, parts: list[Any]) -> Filter:
            return Not(parts[0])

        def both(self, parts: list[Any]) -> Filter:
            return And(tuple(parts))

        def either(self, parts: list[Any]) -> Filter:
            return Or(tuple(parts))

        def list(self, parts: list[Any]) -> tuple[Value, ...]:
            return tuple(map(_value, parts))

    return Lark(_GRAMMAR, start="either", parser="lalr", transformer=Reading())


def _value(token: Token, *, ordered: bool = False) -> Value:
    """The value that a token stands for; what is compared by order has to have one."""
    word, place = _text(token), (token.start_pos or 0) + 1
    if token.type == "STRING":
        return word
    if NUMBER.fullmatch(word):
        return _number(word, place)
    if word.lower() in CONSTANTS:
        constant = CONSTANTS[word.lower()]
        if constant is None:
            raise FilterError(f"nothing compares with {word}; write `not exists` for a missing value, quotes for the text", place)
        if ordered:
            raise FilterError(f"{word} is neither more nor less than anything; use = or !=", place)
        return constant
    if no_date(word):
        raise FilterError(f"there is no date {_short(word)!r}; write it in quotes if the text is meant", place)
    return word


def _number(word: str, place: int) -> int | float:
    try:
        number: int | float = int(word) if word.lstrip("+-").isdecimal() else float(word)
    except ValueError:  # Python reads no integer of more than 4,300 digits
        number = math.inf
    if isinstance(number, float) and math.isinf(number):
        raise FilterError("the number is too large", place)
    return number


def _text(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if token.type == "STRING" else str(token)


def _depth(tree: Filter) -> int:
    deepest, left = 0, [(tree, 1)]
    while left:
        part, depth = left.pop()
        deepest = max(deepest, depth)
        inner = part.parts if isinstance(part, And | Or) else (part.part,) if isinstance(part, Not) else ()
        left.extend((other, depth + 1) for other in inner)
    return deepest
