"""Filters as tantivy evaluates them, with the meaning of `ragkit.filters.matches`.

tantivy looks facts up (`ragkit_tantivy.records`). A comparison for equality names the facts that satisfy it. For any other, each
value that the key has in the index is held against the comparison, and the facts of those that pass are looked up. A key with
more than `MOST_VALUES` values, or with one that is too long to be written out, is left to `matches`, hit by hit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import tantivy
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters
from tantivy import Query

from ragkit.filters import matcher
from ragkit_tantivy.queries import every, one_of, others, some
from ragkit_tantivy.records import has, is_, start_of, there, value_of

MOST_VALUES = 20_000

Values = Sequence[tuple[str, Any]]
"""The facts that say what a key is, each with the value that it says."""


@dataclass
class Where:
    """Translates filters for one state of the index, and remembers which values its keys have."""

    schema: tantivy.Schema
    searcher: tantivy.Searcher
    known: dict[str, Values | None] = field(default_factory=dict)

    def split(self, filters: MetadataFilters) -> tuple[Query | None, MetadataFilters | None]:
        """What tantivy evaluates of `filters`, and what is left to `matches`; what passes satisfies both.

        Raises `QueryError` for an operator that has no meaning.
        """
        matcher(filters)
        whole = self.query(filters)
        if whole is not None:
            return whole, None
        if _condition(filters) != "and":
            return None, filters
        parts = [(part, self.query(part)) for part in filters.filters]
        left = [part for part, query in parts if query is None]
        native = [query for _, query in parts if query is not None]
        return every(native) if native else None, _all_of(left)

    def query(self, part: Any) -> Query | None:
        """A comparison or a filter as a query, or None where tantivy cannot evaluate all of it."""
        if hasattr(part, "key"):
            return self._comparison(part)
        parts = [self.query(inner) for inner in part.filters]
        queries = [query for query in parts if query is not None]
        if len(queries) < len(parts):
            return None
        if not parts:
            return Query.all_query()
        condition = _condition(part)
        if condition == "and":
            return every(queries)
        return some(queries) if condition == "or" else others(some(queries))

    def _comparison(self, part: Any) -> Query | None:
        operator, key, want = str(getattr(part.operator, "value", part.operator)), part.key, part.value
        if operator == "is_empty":
            return others(every([self._any([there(key)]), others(self._any([is_(key, ""), is_(key, [])]))]))
        named = _NAMED[operator](key, want) if operator in _NAMED else None
        if named is not None:
            found = every([self._any(facts) for facts in named]) if named else Query.all_query()
            return others(found) if operator in ("!=", "nin") else found
        values = self._values(key)
        if values is None:
            return None
        test = matcher(_all_of([part]))
        passing = {fact: test({key: value}) for fact, value in values}
        if test({}):  # so does a chunk without the key
            return others(self._any([fact for fact, passes in passing.items() if not passes]))
        return self._any([fact for fact, passes in passing.items() if passes])

    def _values(self, key: str) -> Values | None:
        """The values that a key has, None where they are too many or cannot be told."""
        if key not in self.known:
            self.known[key] = self._read(key)
        return self.known[key]

    def _read(self, key: str) -> Values | None:
        facts = [fact for fact, _ in self.searcher.terms_with_prefix("facts", start_of(key), limit=MOST_VALUES + 1)]
        if len(facts) > MOST_VALUES:
            return None
        try:
            return [(fact, value_of(key, fact)) for fact in facts]
        except ValueError:
            return None

    def _any(self, facts: Sequence[str]) -> Query:
        return one_of(self.schema, "facts", facts)


def _condition(filters: Any) -> str:
    return str(getattr(filters.condition, "value", filters.condition) or "and")


def _all_of(parts: Sequence[Any]) -> MetadataFilters:
    # not validated: the values are those of filters that were
    return MetadataFilters.model_construct(filters=list(parts), condition=FilterCondition.AND)


Facts = list[list[str]] | None
"""Of each list a chunk has to have a fact; None where facts cannot say it."""


def _equal(key: str, want: Any, fact: Callable[[str, Any], str] = is_) -> list[str] | None:
    """The facts of the values that equal `want`, None where these cannot be named."""
    if isinstance(want, str):
        return [fact(key, want)]
    if not isinstance(want, int | float) or (isinstance(want, float) and not math.isfinite(want)):
        return None
    truth = [fact(key, bool(want))] if want in (0, 1) else []  # as in Python, 1 == True
    return [fact(key, int(want) if isinstance(want, bool) else want), *truth]


def _member(key: str, want: Any) -> list[str] | None:
    return _equal(key, want, has)


def _listed(wanted: Any, *named: Callable[[str, Any], list[str] | None], key: str) -> list[list[str]] | None:
    """For each of the wanted values the facts that say it."""
    found = []
    for want in wanted if isinstance(wanted, list) else [wanted]:
        facts = [name(key, want) for name in named]
        if any(some is None for some in facts):
            return None
        found.append([fact for some in facts for fact in some or ()])
    return found


def _one(lists: list[list[str]] | None) -> Facts:
    return None if lists is None else [[fact for facts in lists for fact in facts]]


_NAMED: dict[str, Callable[[str, Any], Facts]] = {
    "==": lambda key, want: _one(None if isinstance(want, list) else _listed(want, _equal, key=key)),
    "!=": lambda key, want: _one(None if isinstance(want, list) else _listed(want, _equal, key=key)),
    "in": lambda key, want: _one(_listed(want, _equal, key=key)),
    "nin": lambda key, want: _one(_listed(want, _equal, key=key)),
    "any": lambda key, want: _one(_listed(want, _equal, _member, key=key)),
    # an empty list asks for nothing, but of a key that is there
    "all": lambda key, want: [[there(key)], *wanted] if (wanted := _listed(want, _equal, _member, key=key)) is not None else None,
    "contains": lambda key, want: None if isinstance(want, str | list) else _one(_listed(want, _member, key=key)),
}
