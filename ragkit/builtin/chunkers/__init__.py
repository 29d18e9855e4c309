"""The built-in chunkers: `sentence` and `token`, sized in the embedding's own tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from ragkit import BuildContext, Component, Options, hookimpl, identity
from ragkit.errors import ComponentError
from ragkit.text import LEAD_TOKENS

if TYPE_CHECKING:
    from llama_index.core.node_parser import NodeParser

_LEAD_SEPARATOR_TOKENS = 2
_DEFAULT_SIZE = 256
_MIN_SIZE = 16


class ChunkerOptions(Options):
    """What both chunkers share. Sizes are in tokens of the embedding's tokenizer, special tokens not counted."""

    size: int | None = identity(
        default=None,
        ge=_MIN_SIZE,
        description="tokens per chunk at most; by default what the model reads, less special tokens and room for the lead",
    )
    overlap: int = identity(default=32, ge=0, description="tokens of the chunk before that a chunk repeats, at most")
    lead: Literal["none", "title", "headings"] = identity(
        default="headings", description="what stands before the text in what is embedded and indexed"
    )

    @model_validator(mode="after")
    def _overlap_below_size(self) -> ChunkerOptions:
        if self.size is not None and self.overlap >= self.size:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than size ({self.size})")
        return self


class SentenceOptions(ChunkerOptions):
    """`sentence`: whole sentences, cut where the text has a seam."""

    language: str = identity(default="en", min_length=2, description="ISO 639-1 code of the language that sentences are read in")


class TokenOptions(ChunkerOptions):
    """`token`: windows of equal size."""


def resolve_size(options: ChunkerOptions, context: BuildContext) -> int:
    """The size in tokens that `options` ask for, or the largest that the embedding reads in whole with a lead before it."""
    size = options.size
    if size is None:
        limit = context.tokenizer.max_tokens
        lead = 0 if options.lead == "none" else LEAD_TOKENS + _LEAD_SEPARATOR_TOKENS
        size = _DEFAULT_SIZE if limit is None else limit - context.tokenizer.special_tokens - lead
        if size < _MIN_SIZE:
            raise ComponentError(
                f"the embedding reads {limit} tokens, which leaves {size} for a chunk after {lead} for its lead",
                component="chunker",
                cure="set `lead: none`, or choose an embedding that reads more",
            )
    if options.overlap >= size:
        raise ComponentError(
            f"overlap ({options.overlap}) must be smaller than size ({size})",
            component="chunker",
            cure="set a smaller `chunker.overlap`",
        )
    return size


def build_sentence(options: SentenceOptions, context: BuildContext) -> NodeParser:
    """The `sentence` chunker for the embedding's tokenizer."""
    from ragkit.builtin.chunkers.sentence import SentenceChunker

    size = resolve_size(options, context)
    return SentenceChunker(
        tokenizer=context.tokenizer, size=size, overlap=options.overlap, lead=options.lead, language=options.language
    )


def build_token(options: TokenOptions, context: BuildContext) -> NodeParser:
    """The `token` chunker for the embedding's tokenizer."""
    from ragkit.builtin.chunkers.token import TokenChunker

    size = resolve_size(options, context)
    return TokenChunker(tokenizer=context.tokenizer, size=size, overlap=options.overlap, lead=options.lead)


@hookimpl
def ragkit_chunkers() -> list[Component]:
    """`sentence` and `token`."""
    return [
        Component(
            "sentence",
            SentenceOptions,
            build_sentence,
            summary="whole sentences; cuts at headings and paragraphs, and an edit moves only the cuts near it",
        ),
        Component("token", TokenOptions, build_token, summary="windows of equal size, cut between words"),
    ]
