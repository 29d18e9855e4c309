"""The built-in chunkers that read a text as it stands: `sentence`, `token`, `recursive`, `sentence_window`, `semantic`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import model_validator

from ragkit import BuildContext, Component, hookimpl, identity
from ragkit.builtin.chunkers.sizes import MIN_SIZE, ChunkerOptions, LeadOptions, UnitOptions, resolve, resolve_size

if TYPE_CHECKING:
    from llama_index.core.node_parser import NodeParser

LANGUAGE = "ISO 639-1 code of the language that sentences are read in"
_TOO_LONG = "tokens per chunk at most, cut where there is more; by default what the model reads"


class SentenceOptions(UnitOptions):
    """`sentence`: whole sentences, cut where the text has a seam."""

    least: int = identity(
        default=0, ge=0, description="a chunk has at least so many tokens or characters, where that is possible"
    )
    language: str = identity(default="en", min_length=2, description=LANGUAGE)

    @model_validator(mode="after")
    def _least_below_size(self) -> SentenceOptions:
        if self.size is not None and self.least > self.size:
            raise ValueError(f"least ({self.least}) must not be larger than size ({self.size})")
        return self


class TokenOptions(ChunkerOptions):
    """`token`: windows of equal size."""


class RecursiveOptions(UnitOptions):
    """`recursive`: which separators, from the best to the worst."""

    separators: tuple[str, ...] = identity(
        default=("\n\n", "\n", ". ", " "),
        min_length=1,
        description="where to cut, the first one that occurs; what is still too long is cut at the next",
    )


class SentenceWindowOptions(LeadOptions):
    """`sentence_window`: one sentence per chunk."""

    size: int | None = identity(default=None, ge=MIN_SIZE, description=_TOO_LONG)
    language: str = identity(default="en", min_length=2, description=LANGUAGE)


class SemanticOptions(LeadOptions):
    """`semantic`: what counts as a turn."""

    size: int | None = identity(default=None, ge=MIN_SIZE, description=_TOO_LONG)
    least: int = identity(default=0, ge=0, description="tokens that a chunk has at least, where what follows leaves room")
    percentile: float = identity(
        default=80.0, ge=0, le=100, description="cut where the meaning turns more than at so many percent of the sentences"
    )
    around: int = identity(
        default=1, ge=0, le=10, description="how many sentences on either side are embedded with each, to smooth what they say"
    )
    language: str = identity(default="en", min_length=2, description=LANGUAGE)


def build_sentence(options: SentenceOptions, context: BuildContext) -> NodeParser:
    """The `sentence` chunker for the embedding's tokenizer."""
    from ragkit.builtin.chunkers.sentence import SentenceChunker

    sizes = resolve(options, context)
    return SentenceChunker(
        tokenizer=context.tokenizer,
        lead=options.lead,
        language=options.language,
        least=min(options.least, sizes.size),
        **sizes.fields(),
    )


def build_token(options: TokenOptions, context: BuildContext) -> NodeParser:
    """The `token` chunker for the embedding's tokenizer."""
    from ragkit.builtin.chunkers.token import TokenChunker

    size = resolve_size(options, context)
    return TokenChunker(tokenizer=context.tokenizer, size=size, overlap=options.overlap, lead=options.lead)


def build_recursive(options: RecursiveOptions, context: BuildContext) -> NodeParser:
    """The `recursive` chunker."""
    from ragkit.builtin.chunkers.recursive import RecursiveChunker

    fields = resolve(options, context).fields()
    return RecursiveChunker(tokenizer=context.tokenizer, lead=options.lead, separators=options.separators, **fields)


def build_sentence_window(options: SentenceWindowOptions, context: BuildContext) -> NodeParser:
    """The `sentence_window` chunker."""
    from ragkit.builtin.chunkers.single import SingleSentenceChunker

    size = resolve_size(ChunkerOptions(size=options.size, overlap=0, lead=options.lead), context)
    return SingleSentenceChunker(tokenizer=context.tokenizer, size=size, overlap=0, lead=options.lead, language=options.language)


def build_semantic(options: SemanticOptions, context: BuildContext) -> NodeParser:
    """The `semantic` chunker with the configured embedding."""
    from ragkit.builtin.chunkers.semantic import SemanticChunker

    size = resolve_size(ChunkerOptions(size=options.size, overlap=0, lead=options.lead), context)

    def embed(texts: list[str]) -> list[list[float]]:
        return context.embedding.get_text_embedding_batch(texts)

    return SemanticChunker(
        tokenizer=context.tokenizer,
        embed=embed,
        size=size,
        overlap=0,
        lead=options.lead,
        language=options.language,
        least=min(options.least, size),
        percentile=options.percentile,
        around=options.around,
    )


@hookimpl
def ragkit_chunkers() -> list[Component]:
    """`sentence`, `token`, `recursive`, `sentence_window` and `semantic`."""
    return [
        Component(
            "sentence",
            SentenceOptions,
            build_sentence,
            summary="whole sentences; cuts at headings and paragraphs, and an edit moves only the cuts near it",
        ),
        Component("token", TokenOptions, build_token, summary="windows of equal size, cut between words"),
        Component("recursive", RecursiveOptions, build_recursive, summary="at the first of some separators that occurs"),
        Component(
            "sentence_window",
            SentenceWindowOptions,
            build_sentence_window,
            summary="one sentence per chunk; the retriever `sentence_window` adds those around it",
        ),
        Component(
            "semantic",
            SemanticOptions,
            build_semantic,
            summary="where neighbouring sentences differ most in meaning, by the embedding",
            capabilities={"embeds": True},
        ),
    ]
