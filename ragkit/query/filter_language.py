"""The filter language of the command line: `year >= 2020 and (category in [article, post] or not draft = true)`.

Values are numbers, `true`, `false`, quoted strings, or bare words; `_GRAMMAR` has the rest.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from lark import Lark
    from llama_index.core.vector_stores.types import MetadataFilters

_GRAMMAR = r"""
    ?either: both (_OR both)*
    ?both: term (_AND term)*
    ?term: comparison | "(" either ")" | _NOT term -> negated
    comparison: _value (COMPARED | CONTAINS) _value | _value IN list
        | _value _NOT IN list -> excluded
    list: "[" _value ("," _value)* "]"
    _value: WORD | STRING

    COMPARED: "==" | "!=" | ">=" | "<=" | "=" | ">" | "<"
    STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
    WORD: /[^\s()\[\],=!<>"']+/
    _OR.2: /or(?=[\s("']|$)/i
    _AND.2: /and(?=[\s("']|$)/i
    _NOT.2: /not(?=[\s("']|$)/i
    IN.2: /in(?=[\s\[]|$)/i
    CONTAINS.2: /contains(?=[\s"']|$)/i
    %ignore /\s+/
"""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def parse_filter(text: str) -> MetadataFilters:
    """A filter written by hand as LlamaIndex's `MetadataFilters`. What cannot be read is a `QueryError` with its position."""
    from lark import UnexpectedInput, UnexpectedToken
    from llama_index.core.vector_stores.types import MetadataFilters

    try:
        parsed = _read(_parser().parse(text))
    except UnexpectedInput as error:
        ends = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(text.rstrip()) if ends else error.pos_in_stream or 0
        wrong = "more should follow" if ends else f"{text[position:].split(maxsplit=1)[0]!r} cannot stand here"
        raise QueryError(
            f"filter, character {position + 1}: {wrong}",
            cure="write filters such as: year >= 2020 and category in [article, post]",
        ) from None
    return parsed if isinstance(parsed, MetadataFilters) else MetadataFilters(filters=[parsed])


@cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(_GRAMMAR, start="either", parser="lalr")


def _read(tree: Any) -> Any:
    """A part of the syntax tree: a filter, a list, or a value."""
    from lark import Token
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

    if isinstance(tree, Token):
        return _value(tree)
    parts = [_read(part) for part in tree.children]
    if tree.data == "list":
        return parts
    if tree.data in ("comparison", "excluded"):
        # `MetadataFilter` has no type for truth values, stores and the ledger do: nothing is lost without its validation.
        operator = "nin" if tree.data == "excluded" else {"=": "=="}.get(parts[1], parts[1].lower())
        return MetadataFilter.model_construct(key=_text(tree.children[0]), value=parts[2], operator=FilterOperator(operator))
    condition = {"either": FilterCondition.OR, "both": FilterCondition.AND}.get(tree.data, FilterCondition.NOT)
    return MetadataFilters(filters=parts, condition=condition)


def _value(token: Any) -> str | int | float | bool:
    text = _text(token)
    if token.type == "STRING":
        return text
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _text(token: Any) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.type == "STRING" else str(token)
