"""The filter language of the command line: `year >= 2020 and (category in [article, post] or not draft == true)`.

    filter     = and_ ("or" and_)*
    and_       = term ("and" term)*
    term       = "not" term | "(" filter ")" | comparison
    comparison = KEY ("==" | "=" | "!=" | ">" | ">=" | "<" | "<=" | "contains") VALUE
               | KEY ["not"] "in" "[" VALUE ("," VALUE)* "]"

Values are numbers, `true`, `false`, quoted strings, or bare words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
        |(?P<operator>==|!=|>=|<=|=|>|<)
        |(?P<mark>[()\[\],])
        |(?P<word>[^\s()\[\],=!<>"']+))""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(\d+(?P<fraction>\.\d*)?|(?P<point>\.\d+))(?P<exponent>[eE][+-]?\d+)?")
_CURE = "write filters such as: year >= 2020 and category in [article, post]"


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_filter(text: str) -> MetadataFilters:
    """A filter written by hand as LlamaIndex's `MetadataFilters`. What cannot be read is a `QueryError` with its position."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _split(text)
        self._next = 0

    def parse(self) -> MetadataFilters:
        from llama_index.core.vector_stores.types import MetadataFilters

        result = self._or()
        self._expect("end", "")
        return result if isinstance(result, MetadataFilters) else MetadataFilters(filters=[result])

    def _or(self) -> MetadataFilter | MetadataFilters:
        return self._joined("or", lambda: self._joined("and", self._term))

    def _joined(self, word: str, parse: Any) -> MetadataFilter | MetadataFilters:
        from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters

        parts = [parse()]
        while self._take("word", word):
            parts.append(parse())
        return parts[0] if len(parts) == 1 else MetadataFilters(filters=parts, condition=FilterCondition(word))

    def _term(self) -> MetadataFilter | MetadataFilters:
        from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters

        if self._take("word", "not"):
            return MetadataFilters(filters=[self._term()], condition=FilterCondition.NOT)
        if self._take("mark", "("):
            inner = self._or()
            self._expect("mark", ")")
            return inner
        return self._comparison()

    def _comparison(self) -> MetadataFilter:
        from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter

        key = self._key()
        if self._take("word", "not"):
            self._expect("word", "in")
            operator, value = "nin", self._list()
        elif self._take("word", "in"):
            operator, value = "in", self._list()
        elif self._take("word", "contains"):
            operator, value = "contains", self._value()
        elif self._tokens[self._next].kind == "operator":
            written = self._tokens[self._next].text
            self._next += 1
            operator, value = "==" if written == "=" else written, self._value()
        else:
            raise self._error("an operator")
        # `MetadataFilter` has no type for truth values, stores and the ledger do: nothing is lost without its validation.
        return MetadataFilter.model_construct(key=key, value=value, operator=FilterOperator(operator))

    def _key(self) -> str:
        token = self._tokens[self._next]
        reserved = token.kind == "word" and token.text.lower() in ("and", "or", "in", "contains")
        if reserved or token.kind not in ("word", "string"):
            raise self._error("the name of a metadata field")
        self._next += 1
        return _unquoted(token)

    def _list(self) -> list[Any]:
        self._expect("mark", "[")
        values = [self._value()]
        while self._take("mark", ","):
            values.append(self._value())
        self._expect("mark", "]")
        return values

    def _value(self) -> Any:
        token = self._tokens[self._next]
        if token.kind not in ("word", "string"):
            raise self._error("a value")
        self._next += 1
        if token.kind == "string":
            return _unquoted(token)
        number = _NUMBER.fullmatch(token.text)
        if number:
            return float(token.text) if any(number.groupdict().values()) else int(token.text)
        return {"true": True, "false": False}.get(token.text.lower(), token.text)

    def _take(self, kind: str, text: str) -> bool:
        token = self._tokens[self._next]
        taken = token.kind == kind and token.text.lower() == text
        self._next += taken
        return taken

    def _expect(self, kind: str, text: str) -> None:
        if not self._take(kind, text):
            raise self._error(f"{text!r}" if text else "'and', 'or' or the end")

    def _error(self, expected: str) -> QueryError:
        token = self._tokens[self._next]
        found = f"{token.text!r}" if token.text else "its end"
        return QueryError(f"filter, character {token.position + 1}: {expected} should stand here, not {found}", cure=_CURE)


def _split(text: str) -> list[_Token]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            at = position + len(text[position:]) - len(text[position:].lstrip())
            raise QueryError(f"filter, character {at + 1}: {text[at]!r} cannot stand here", cure=_CURE)
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        position = match.end()
    return [*tokens, _Token("end", "", end)]


def _unquoted(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "string" else token.text
