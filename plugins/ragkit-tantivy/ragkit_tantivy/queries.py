"""tantivy's queries, made of parts. Its query language is never used: a question is words, not a query."""

from __future__ import annotations

from collections.abc import Sequence

import tantivy
from tantivy import Occur, Query

_FEW = 500
"""So many terms are looked up one by one. tantivy's set of terms pays for more: it walks through the whole dictionary."""


def some(queries: Sequence[Query]) -> Query:
    """What satisfies at least one; the scores add up."""
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def every(queries: Sequence[Query]) -> Query:
    """What satisfies all; the scores add up."""
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def others(query: Query) -> Query:
    """What does not satisfy it."""
    return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, query)])


def weightless(query: Query) -> Query:
    """The same with a score of 0."""
    return Query.const_score_query(query, 0.0)


def one_of(schema: tantivy.Schema, field: str, terms: Sequence[str]) -> Query:
    """What has one of the terms in an unscored field."""
    if not terms:
        return Query.empty_query()
    if len(terms) > _FEW:
        return Query.term_set_query(schema, field, list(terms))
    return some([Query.term_query(schema, field, term, "basic") for term in terms])
