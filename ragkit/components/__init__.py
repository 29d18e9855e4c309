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
from ragkit.components.links import LinkedSource, LinkPattern, link_faults, link_sources
from ragkit.components.options import (
    CleanerOptions,
    ConfigPath,
    Options,
    RerankerOptions,
    Role,
    SourceOptions,
    identity,
    runtime,
    secret,
)
from ragkit.components.protocols import (
    Bounded,
    BoundsScores,
    Counts,
    Drops,
    EmbedsQueries,
    Entry,
    Flushes,
    Hits,
    KeepsUploads,
    Leg,
    ListsEntries,
    ListsIds,
    Marks,
    Presents,
    ReturnsVectors,
    ScoresIds,
    SearchesIds,
    TellsFilters,
    Tokenizer,
    Upserts,
    WeighsTerms,
)
from ragkit.components.stages import EstimatesTime, Prepares, Run, ScoreCache, Stage

__all__ = [
    "AnswererSpec", "Bounded", "BoundsScores", "BuildContext", "ChunkerSpec", "CleanerOptions", "CleanerSpec", "Component",
    "ConfigPath", "Counts", "Drops", "EmbeddingSpec", "EmbedsQueries", "Entry", "EstimatesTime", "Flushes", "Hits",
    "KeepsUploads", "KeywordStoreSpec", "Kind", "LLMSpec", "Leg", "LinkPattern", "LinkedSource", "ListsEntries", "ListsIds",
    "Marks", "Nested", "Options", "Prepares", "Presents", "RerankerOptions", "RerankerSpec", "RetrieverSpec", "ReturnsVectors",
    "Role", "Run", "ScoreCache", "ScoresIds", "SearchesIds", "SourceOptions", "SourceSpec", "Spec", "Stage", "TellsFilters",
    "Tokenizer", "Upserts", "VectorStoreSpec", "WeighsTerms", "identity", "link_faults", "link_sources", "runtime", "secret",
]  # fmt: skip
