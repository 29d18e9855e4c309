"""Filters as LlamaIndex has them, whatever form they were given in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit.errors import QueryError
from ragkit.filters.language import parse
from ragkit.filters.meaning import matcher, plain
from ragkit.filters.tree import And, Comparison, Exists, Filter, Not, Or

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

    AnyFilters = MetadataFilters | Filter | str


def to_llama(tree: Filter) -> MetadataFilters:
    """The filter as LlamaIndex has it. `exists` becomes its `is_empty`, negated."""
    from llama_index.core.vector_stores.types import MetadataFilters

    made = _llama(tree)
    return made if isinstance(made, MetadataFilters) else MetadataFilters(filters=[made])


def as_llama(filters: AnyFilters | None) -> MetadataFilters | None:
    """Filters of any form (a text in the language, a tree, LlamaIndex's) as LlamaIndex's; dates of Python become texts.

    None is no filter. Raises `FilterError` for a text that cannot be read, `QueryError` for an operator without a meaning.
    """
    if filters is None:
        return None
    if isinstance(filters, str):
        filters = parse(filters)
    if isinstance(filters, Filter):
        return to_llama(filters)
    if not hasattr(filters, "filters"):
        told = f"filters are a text such as 'year >= 2020', or MetadataFilters, not {type(filters).__name__}"
        raise QueryError(told)
    matcher(filters)
    return _plain(filters)  # type: ignore[no-any-return]  # of the same class


def joined(one: MetadataFilters | None, other: MetadataFilters | None) -> MetadataFilters | None:
    """What satisfies both."""
    if one is None or other is None:
        return one or other
    from llama_index.core.vector_stores.types import FilterCondition, MetadataFilters

    return MetadataFilters(filters=[one, other], condition=FilterCondition.AND)


def _plain(part: Any) -> Any:
    if hasattr(part, "key"):
        value = plain(part.value)
        return part if value is part.value else part.model_copy(update={"value": value})
    parts = [_plain(inner) for inner in part.filters]
    same = all(new is old for new, old in zip(parts, part.filters, strict=True))
    return part if same else part.model_copy(update={"filters": parts})


def _llama(tree: Filter) -> Any:
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

    def compared(key: str, operator: str, value: Any) -> MetadataFilter:
        # `MetadataFilter` has no type for truth values, stores and the ledger do: nothing is lost without its validation.
        return MetadataFilter.model_construct(key=key, value=value, operator=FilterOperator(operator))

    if isinstance(tree, Comparison):
        return compared(tree.key, tree.operator, list(tree.value) if isinstance(tree.value, tuple) else tree.value)
    if isinstance(tree, Not) and isinstance(tree.part, Exists):
        return compared(tree.part.key, "is_empty", None)
    if isinstance(tree, Exists):
        return MetadataFilters(filters=[compared(tree.key, "is_empty", None)], condition=FilterCondition.NOT)
    if isinstance(tree, Not):
        return MetadataFilters(filters=[_llama(tree.part)], condition=FilterCondition.NOT)
    if isinstance(tree, And | Or):
        condition = FilterCondition.AND if isinstance(tree, And) else FilterCondition.OR
        return MetadataFilters(filters=[_llama(part) for part in tree.parts], condition=condition)
    raise TypeError(f"{tree!r} is no filter")
