"""How large chunks are: the options that every built-in chunker shares, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from ragkit import BuildContext, Options, identity
from ragkit.errors import ComponentError
from ragkit.text import LEAD_TOKENS

LEAD_SEPARATOR_TOKENS = 2
DEFAULT_SIZE = 256
MIN_SIZE = 16
CHARS_PER_TOKEN = 4
"""About, in English prose: the default size in characters."""


class LeadOptions(Options):
    """What stands before a chunk."""

    lead: Literal["none", "title", "headings"] = identity(
        default="headings", description="what stands before the text in what is embedded and indexed"
    )


class ChunkerOptions(LeadOptions):
    """What all share. Sizes are in tokens of the embedding's tokenizer, special tokens not counted."""

    size: int | None = identity(
        default=None,
        ge=MIN_SIZE,
        description="tokens per chunk at most; by default what the model reads, less special tokens and room for the lead",
    )
    overlap: int = identity(default=32, ge=0, description="tokens of the chunk before that a chunk repeats, at most")

    @model_validator(mode="after")
    def _overlap_below_size(self) -> ChunkerOptions:
        if self.size is not None and self.overlap >= self.size:
            raise ValueError(f"overlap ({self.overlap}) must be smaller than size ({self.size})")
        return self


class UnitOptions(ChunkerOptions):
    """Sizes in tokens or in characters."""

    unit: Literal["tokens", "characters"] = identity(
        default="tokens",
        description="what `size` and `overlap` count; in characters a chunk never exceeds what the model reads either",
    )


@dataclass(frozen=True)
class Sizes:
    """`size` and `overlap` in `unit`, and how many tokens a chunk has at most besides."""

    size: int
    overlap: int
    unit: str = "tokens"
    limit: int | None = None

    def fields(self) -> dict[str, Any]:
        """As a chunker takes them."""
        return {"size": self.size, "overlap": self.overlap, "unit": self.unit, "limit": self.limit}


def room(context: BuildContext, lead: str) -> int:
    """How many tokens the embedding reads of a chunk with that lead; 256 where it has no limit."""
    limit = context.tokenizer.max_tokens
    leading = 0 if lead == "none" else LEAD_TOKENS + LEAD_SEPARATOR_TOKENS
    left = DEFAULT_SIZE if limit is None else limit - context.tokenizer.special_tokens - leading
    if left < MIN_SIZE:
        raise ComponentError(
            f"the embedding reads {limit} tokens, which leaves {left} for a chunk after {leading} for its lead",
            component="chunker",
            cure="set `lead: none`, or choose an embedding that reads more",
        )
    return left


def cap(context: BuildContext, lead: str) -> int | None:
    """How many tokens of a chunk with that lead the embedding reads; None where it has no limit."""
    return None if context.tokenizer.max_tokens is None else room(context, lead)


def resolve_size(options: ChunkerOptions, context: BuildContext) -> int:
    """The size in tokens that `options` ask for, or the largest that the embedding reads in whole with a lead before it."""
    size = options.size if options.size is not None else room(context, options.lead)
    check_overlap(options.overlap, size)
    return size


def resolve(options: UnitOptions, context: BuildContext) -> Sizes:
    """The sizes that `options` ask for. In characters, the default is about what the embedding reads."""
    if options.unit == "tokens":
        return Sizes(resolve_size(options, context), options.overlap)
    size = options.size if options.size is not None else CHARS_PER_TOKEN * room(context, options.lead)
    check_overlap(options.overlap, size)
    return Sizes(size, options.overlap, "characters", cap(context, options.lead))


def check_overlap(overlap: int, size: int) -> None:
    """Raise `ComponentError` for an overlap that leaves no room."""
    if overlap >= size:
        raise ComponentError(
            f"overlap ({overlap}) must be smaller than size ({size})",
            component="chunker",
            cure="set a smaller `chunker.overlap`",
        )
