"""Metadata filters: what they mean, the language in which people write them, and LlamaIndex's `MetadataFilters`."""

from ragkit.filters.language import parse
from ragkit.filters.llama import as_llama, joined, to_llama
from ragkit.filters.meaning import OPERATORS, comparisons, instant, matcher, matches
from ragkit.filters.tree import And, Comparison, Exists, Filter, Not, Or, operators

__all__ = [
    "OPERATORS", "And", "Comparison", "Exists", "Filter", "Not", "Or", "as_llama", "comparisons", "instant", "joined", "matcher",
    "matches", "operators", "parse", "to_llama",
]  # fmt: skip
