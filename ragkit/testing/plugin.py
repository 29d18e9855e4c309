"""The fakes as components: embedding and vector store `fake`, keyword store and source `memory`, source `failing`, `repeat`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from ragkit.components import BuildContext, Component, Options, Tokenizer, identity, runtime
from ragkit.filters import OPERATORS
from ragkit.hookspecs import hookimpl
from ragkit.words import WordTokenizer

if TYPE_CHECKING:
    from ragkit.testing.models import FakeEmbedding, RepeatingLLM
    from ragkit.testing.sources import FailingSource, MemorySource
    from ragkit.testing.stores import MemoryKeywordStore, MemoryVectorStore


class FakeEmbeddingOptions(Options):
    """The YAML keys of `embedding: {use: fake, …}`."""

    dim: int = identity(default=64, ge=2, description="Length of the vectors.")
    seed: int = identity(default=0, description="Another seed is another model.")
    max_tokens: int | None = identity(default=256, ge=8, description="Tokens that the model reads; a word is a token.")


class MemoryVectorOptions(Options):
    """The YAML keys of `vector_store: {use: fake, …}`."""

    metric: Literal["cosine", "dot", "l2"] = identity(default="cosine", description="The similarity.")
    persist: bool = runtime(default=True, description="Keep a file in the state, so that another process finds the same.")


class MemoryKeywordOptions(Options):
    """The YAML keys of `keyword_store: {use: memory, …}`."""

    persist: bool = runtime(default=True, description="Keep a file in the state, so that another process finds the same.")


class MemoryDocument(BaseModel):
    """A document written into the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    text: str
    metadata: dict[str, Any] = {}


class MemorySourceOptions(Options):
    """The YAML keys of `sources: [{use: memory, …}]`."""

    documents: tuple[MemoryDocument, ...] = runtime(default=(), description="The documents.")


class FailingSourceOptions(MemorySourceOptions):
    """The YAML keys of `sources: [{use: failing, …}]`."""

    fail_after: int | None = runtime(default=None, ge=0, description="The listing fails after so many documents.")
    fail_reading: tuple[str, ...] = runtime(default=(), description="URIs that are listed and cannot be read.")
    gone: tuple[str, ...] = runtime(default=(), description="URIs that are listed and turn out to exist no more.")


class RepeatOptions(Options):
    """The YAML keys of `llm: {use: repeat, …}`."""

    text: str | None = runtime(default=None, description="What to answer; by default the prompt.")


def _fake_embedding(options: FakeEmbeddingOptions, context: BuildContext) -> FakeEmbedding:
    from ragkit.testing.models import FakeEmbedding

    return FakeEmbedding(dim=options.dim, seed=options.seed)


def _fake_identity(options: FakeEmbeddingOptions, context: BuildContext) -> str:
    return f"fake-{options.dim}-{options.seed}-{options.max_tokens}"


def _fake_tokenizer(options: FakeEmbeddingOptions, context: BuildContext) -> Tokenizer:
    return WordTokenizer(max_tokens=options.max_tokens)


def _vector_store(options: MemoryVectorOptions, context: BuildContext) -> MemoryVectorStore:
    from ragkit.testing.stores import MemoryVectorStore

    return MemoryVectorStore(context.folder if options.persist else None, metric=options.metric)


def _keyword_store(options: MemoryKeywordOptions, context: BuildContext) -> MemoryKeywordStore:
    from ragkit.testing.stores import MemoryKeywordStore

    return MemoryKeywordStore(context.folder if options.persist else None)


def _memory_source(options: MemorySourceOptions, context: BuildContext) -> MemorySource:
    from ragkit.testing.sources import MemorySource

    return MemorySource([document.model_dump() for document in options.documents])


def _failing_source(options: FailingSourceOptions, context: BuildContext) -> FailingSource:
    from ragkit.testing.sources import FailingSource

    return FailingSource(
        [document.model_dump() for document in options.documents],
        fail_after=options.fail_after,
        fail_reading=options.fail_reading,
        gone=options.gone,
    )


def _repeat(options: RepeatOptions, context: BuildContext) -> RepeatingLLM:
    from ragkit.testing.models import RepeatingLLM

    return RepeatingLLM(text=options.text)


_STORE = {"processes": "many_readers", "filters": list(OPERATORS), "delete": True, "upsert": True, "async": False}


@hookimpl
def ragkit_embeddings() -> list[Component]:
    """Offer `fake`."""
    return [
        Component(
            "fake",
            FakeEmbeddingOptions,
            _fake_embedding,
            summary="Hashed words: deterministic, and similar texts are similar",
            identity=_fake_identity,
            tokenizer=_fake_tokenizer,
        )
    ]


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `fake`; the `memory` that users get is built in."""
    capabilities = {**_STORE, "metrics": ["cosine", "dot", "l2"], "vectors": "memory"}
    summary = "Exact search in memory, for tests"
    return [Component("fake", MemoryVectorOptions, _vector_store, summary=summary, capabilities=capabilities)]


@hookimpl
def ragkit_keyword_stores() -> list[Component]:
    """Offer `memory`."""
    capabilities = {**_STORE, "score_by_id": True, "k1_b": False}
    summary = "BM25 over plain words in memory, for tests"
    return [Component("memory", MemoryKeywordOptions, _keyword_store, summary=summary, capabilities=capabilities)]


@hookimpl
def ragkit_sources() -> list[Component]:
    """Offer `memory` and `failing`."""
    return [
        Component("memory", MemorySourceOptions, _memory_source, summary="Documents written into the configuration"),
        Component("failing", FailingSourceOptions, _failing_source, summary="Documents of which some fail on demand"),
    ]


@hookimpl
def ragkit_llms() -> list[Component]:
    """Offer `repeat`."""
    return [Component("repeat", RepeatOptions, _repeat, summary="Answers with its prompt, or with a fixed text")]
