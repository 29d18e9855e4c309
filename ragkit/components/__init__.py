"""The contracts: what a plugin imports, and all that it imports."""

from ragkit.components.component import (
    AnswererSpec,
    ChunkerSpec,
    CleanerSpec,
    Component,
    EmbeddingSpec,
    KeywordStoreSpec,
    LLMSpec,
    Nested,
    RerankerSpec,
    RetrieverSpec,
    SourceSpec,
    Spec,
    VectorStoreSpec,
)
from ragkit.components.context import BuildContext
from ragkit.components.kinds import Kind
from ragkit.components.options import ConfigPath, Options, Role, identity, runtime, secret
from ragkit.components.protocols import (
    Counts,
    Drops,
    Entry,
    Flushes,
    Hits,
    Leg,
    ListsEntries,
    ListsIds,
    Marks,
    ReturnsVectors,
    Run,
    ScoresIds,
    SearchesIds,
    Stage,
    TellsFilters,
    Tokenizer,
    Upserts,
    WeighsTerms,
)

__all__ = [
    "AnswererSpec", "BuildContext", "ChunkerSpec", "CleanerSpec", "Component", "ConfigPath", "Counts", "Drops",
    "EmbeddingSpec", "Entry", "Flushes", "Hits", "KeywordStoreSpec", "Kind", "LLMSpec", "Leg", "ListsEntries",
    "ListsIds", "Marks", "Nested", "Options", "RerankerSpec", "RetrieverSpec", "ReturnsVectors", "Role", "Run",
    "ScoresIds", "SearchesIds", "SourceSpec", "Spec", "Stage", "TellsFilters", "Tokenizer", "Upserts", "VectorStoreSpec",
    "WeighsTerms", "identity", "runtime", "secret",
]  # fmt: skip
