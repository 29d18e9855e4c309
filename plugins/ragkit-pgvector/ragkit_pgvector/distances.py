"""pgvector's distance of each metric: searched by its index, or exactly."""

from __future__ import annotations

from psycopg.sql import SQL

NEAR = {
    "cosine": SQL("embedding <=> %(v)s::vector"),
    "dot": SQL("embedding <#> %(v)s::vector"),
    "l2": SQL("embedding <-> %(v)s::vector"),
}
"""As an index knows it."""
EXACT = {"cosine": SQL("coalesce(nullif({}, 'NaN'), 1)"), "dot": SQL("({}) + 0"), "l2": SQL("({}) + 0")}
"""What orders by an expression around the operator does without the index. The cosine of a zero vector counts as 0."""
