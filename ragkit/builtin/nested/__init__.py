"""Chunkers that cut with others: `hierarchical`, `two_stage`, `by_category`, `adaptive`.

What is nested cuts; how large a chunk may become, and what leads it, is the outer chunker's matter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from ragkit import BuildContext, Component, hookimpl, identity
from ragkit.builtin.chunkers import LANGUAGE
from ragkit.builtin.chunkers.sizes import MIN_SIZE, ChunkerOptions, LeadOptions, cap, resolve_size, room
from ragkit.components import ChunkerSpec

if TYPE_CHECKING:
    from llama_index.core.node_parser import NodeParser
    from llama_index.core.schema import BaseNode

_LEAF = 128
_OVERLAP_SHARE = 8
_WITHOUT_LIMIT = 2_048


class HierarchicalOptions(LeadOptions):
    """`hierarchical`: how large parents and leaves are."""

    parent_size: int = identity(default=512, ge=2 * MIN_SIZE, description="tokens per parent at most; parents are not embedded")
    size: int | None = identity(
        default=None, ge=MIN_SIZE, description="tokens per leaf at most; by default 128, or less where the model reads less"
    )
    parent: ChunkerSpec | None = identity(
        None, description="the chunker that cuts parents; none means `markdown` with `parent_size`"
    )
    leaf: ChunkerSpec | None = identity(None, description="the chunker that cuts parents into leaves; none means `sentence`")
    language: str = identity(default="en", min_length=2, description=LANGUAGE)

    @model_validator(mode="after")
    def _leaves_below_parents(self) -> HierarchicalOptions:
        if self.size is not None and self.size >= self.parent_size:
            raise ValueError(f"size ({self.size}) must be smaller than parent_size ({self.parent_size})")
        return self


class TwoStageOptions(ChunkerOptions):
    """`two_stage`: what cuts first. `overlap` is between the parts of what was too long."""

    structure: ChunkerSpec | None = identity(
        None, description="the chunker that cuts first; none means `markdown` with sections of up to 1,024 tokens"
    )
    language: str = identity(default="en", min_length=2, description=LANGUAGE)


class ByCategoryOptions(LeadOptions):
    """`by_category`: which chunker for which `category`. No chunk has more tokens than the model reads."""

    categories: dict[str, ChunkerSpec] = identity(
        default={}, description="the chunker of each category; `post`, `article` and `repository` have one, unless named here"
    )
    default: ChunkerSpec | None = identity(None, description="the chunker of every other document; none means `sentence`")


class AdaptiveOptions(LeadOptions):
    """`adaptive`: which chunker for which kind of text. No chunk has more tokens than the model reads."""

    code: ChunkerSpec | None = identity(None, description="the chunker of code; none means `code`, 800 characters, 100 overlap")
    faq: ChunkerSpec | None = identity(
        None, description="the chunker of questions with answers; none means pairs of them, 300 characters, 30 overlap"
    )
    legal: ChunkerSpec | None = identity(
        None, description="the chunker of legal text; none means clauses, 1,200 characters, 200 overlap"
    )
    general: ChunkerSpec | None = identity(
        None, description="the chunker of all else; none means `sentence`, 500 characters, 50 overlap"
    )


def build_hierarchical(options: HierarchicalOptions, context: BuildContext) -> NodeParser:
    """Leaves that know their parents."""
    from ragkit.builtin.nested.combined import HierarchicalChunker
    from ragkit.builtin.structure.markdown import MarkdownChunker

    size = min(_LEAF, room(context, options.lead), options.parent_size // 2) if options.size is None else options.size
    parents = (
        MarkdownChunker(tokenizer=context.tokenizer, size=options.parent_size, overlap=0, language=options.language)
        if options.parent is None
        else context.build(options.parent)
    )
    return HierarchicalChunker(
        tokenizer=context.tokenizer,
        structure=parents,
        leaves=None if options.leaf is None else context.build(options.leaf),
        size=size,
        overlap=0,
        lead=options.lead,
        language=options.language,
    )


def build_two_stage(options: TwoStageOptions, context: BuildContext) -> NodeParser:
    """Structure first, then a cap."""
    from ragkit.builtin.nested.combined import TwoStageChunker
    from ragkit.builtin.structure.markdown import MarkdownChunker

    size = resolve_size(options, context)
    structure = (
        MarkdownChunker(tokenizer=context.tokenizer, size=max(1_024, size), overlap=0, language=options.language)
        if options.structure is None
        else context.build(options.structure)
    )
    return TwoStageChunker(
        tokenizer=context.tokenizer,
        structure=structure,
        size=size,
        overlap=options.overlap,
        lead=options.lead,
        language=options.language,
    )


def build_by_category(options: ByCategoryOptions, context: BuildContext) -> NodeParser:
    """Each document with the chunker of its `category`."""
    makers: dict[str, Callable[[], NodeParser]] = {
        "post": partial(_sentences, context, options.lead, size=250, overlap=25),
        "article": partial(
            _sentences,
            context,
            options.lead,
            size=2_000,
            overlap=0,
            unit="characters",
            least=1_000,
            limit=cap(context, options.lead),
        ),
        "repository": partial(_code, context, options.lead, size=1_500, overlap=100),
        **{category: partial(context.build, spec) for category, spec in options.categories.items()},
    }

    def choose(document: BaseNode, text: str) -> str:
        return str(document.metadata.get("category", ""))

    return _choosing(context, options.lead, choose, makers, _default(options, context))


def build_adaptive(options: AdaptiveOptions, context: BuildContext) -> NodeParser:
    """Each document with the chunker of its kind."""
    from ragkit.builtin.nested.adaptive import FaqChunker, LegalChunker
    from ragkit.builtin.nested.detecting import kind_of

    presets: dict[str, tuple[Callable[..., NodeParser], int, int]] = {
        "code": (_code, 800, 100),
        "faq": (partial(_sentences, kind=FaqChunker), 300, 30),
        "legal": (partial(_sentences, kind=LegalChunker), 1_200, 200),
        "general": (_sentences, 500, 50),
    }
    limit = cap(context, options.lead)
    makers: dict[str, Callable[[], NodeParser]] = {}
    for name, (make, size, overlap) in presets.items():
        spec = getattr(options, name)
        sizes = {"size": size, "overlap": overlap, "unit": "characters", "limit": limit}
        makers[name] = partial(make, context, options.lead, **sizes) if spec is None else partial(context.build, spec)

    def choose(document: BaseNode, text: str) -> str:
        said = document.metadata
        language, markdown = said.get("programming_language"), said.get("format") == "markdown"
        return kind_of(text, programming_language=language, uri=said.get("uri"), markdown=markdown)

    return _choosing(context, options.lead, choose, makers, makers["general"]())


def _default(options: ByCategoryOptions, context: BuildContext) -> NodeParser:
    if options.default is not None:
        built: NodeParser = context.build(options.default)
        return built
    return _sentences(context, options.lead, size=room(context, options.lead), overlap=32)


def _choosing(
    context: BuildContext,
    lead: str,
    choose: Callable[[BaseNode, str], str],
    makers: dict[str, Callable[[], NodeParser]],
    default: NodeParser,
) -> NodeParser:
    """The chooser; where the model reads without limit, what is nested says how large chunks are."""
    from ragkit.builtin.nested.combined import ChoosingChunker

    size = cap(context, lead)
    return ChoosingChunker(
        choose=choose,
        makers=makers,
        default=default,
        tokenizer=context.tokenizer,
        size=_WITHOUT_LIMIT if size is None else size,
        overlap=0,
        lead=lead,
    )


def _sentences(context: BuildContext, lead: str, *, kind: type[Any] | None = None, **sizes: Any) -> NodeParser:
    """A chunker by sentence of a preset's size."""
    from ragkit.builtin.chunkers.sentence import SentenceChunker

    made: NodeParser = (kind or SentenceChunker)(tokenizer=context.tokenizer, lead=lead, **_capped(context, lead, sizes))
    return made


def _code(context: BuildContext, lead: str, **sizes: Any) -> NodeParser:
    """A chunker of code of a preset's size."""
    from ragkit.builtin.structure.code import CodeChunker

    return CodeChunker(tokenizer=context.tokenizer, lead=lead, **_capped(context, lead, sizes))


def _capped(context: BuildContext, lead: str, sizes: dict[str, Any]) -> dict[str, Any]:
    """A preset's size in tokens is never more than the model reads, and its overlap then at most an eighth of that."""
    limit = cap(context, lead)
    if sizes.get("unit") == "characters" or limit is None or sizes["size"] <= limit:
        return sizes
    return {**sizes, "size": limit, "overlap": min(sizes["overlap"], limit // _OVERLAP_SHARE)}


@hookimpl
def ragkit_chunkers() -> list[Component]:
    """`hierarchical`, `two_stage`, `by_category` and `adaptive`."""
    return [
        Component(
            "hierarchical",
            HierarchicalOptions,
            build_hierarchical,
            summary="small chunks that know their parent, for the retriever `auto_merging`",
        ),
        Component(
            "two_stage", TwoStageOptions, build_two_stage, summary="by another chunker, then capped at what the model reads"
        ),
        Component("by_category", ByCategoryOptions, build_by_category, summary="each category of documents with its own chunker"),
        Component(
            "adaptive",
            AdaptiveOptions,
            build_adaptive,
            summary="code, questions with answers, legal and other text, each its way",
        ),
    ]
