"""Retrievers that choose among the hits of another, or hand out more than what was found.

`mmr` takes hits that are not all alike, `sentence_window` adds the chunks around each hit, `auto_merging` puts the section
where most of it was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragkit import BuildContext, Component, Options, Spec, hookimpl, runtime
from ragkit.builtin.retrievers import HybridOptions, build_hybrid
from ragkit.components import RetrieverSpec

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever

_INNER = "the retriever whose hits are taken; none means hybrid"


class MMROptions(Options):
    """Among how many hits is chosen, and how much they should differ."""

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    fetch: int = runtime(50, ge=1, le=1_000, description="among how many of its best hits is chosen")
    diversity: float = runtime(
        0.3, ge=0, le=1, description="how much a hit loses for being like a better one, from 0 (the order stays) to 1"
    )


class SentenceWindowOptions(Options):
    """How far a window reaches."""

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    before: int = runtime(1, ge=0, le=50, description="how many chunks before each hit are handed out with it")
    after: int = runtime(1, ge=0, le=50, description="how many chunks behind each hit are handed out with it")


class AutoMergingOptions(Options):
    """What counts as a parent, and when it takes the place of its chunks."""

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    threshold: float = runtime(
        0.5, ge=0, lt=1, description="which share of a parent's chunks has to be exceeded by those that were found"
    )
    most: int = runtime(4, ge=2, le=64, description="how many chunks of a section are its parent where it has more")
    fetch: int | None = runtime(
        None, ge=1, le=1_000, description="how many hits are looked at; none means three times what is wanted, up to 100"
    )


def build_mmr(options: MMROptions, context: BuildContext) -> BaseRetriever:
    """Hits that are relevant and not all alike."""
    from ragkit.builtin.passages.mmr import MMRRetriever

    return MMRRetriever(context, _inner(options.retriever, context), fetch=options.fetch, diversity=options.diversity)


def build_sentence_window(options: SentenceWindowOptions, context: BuildContext) -> BaseRetriever:
    """Hits with the chunks around them."""
    from ragkit.builtin.passages.window import SentenceWindowRetriever

    inner = _inner(options.retriever, context)
    return SentenceWindowRetriever(context, inner, before=options.before, after=options.after)


def build_auto_merging(options: AutoMergingOptions, context: BuildContext) -> BaseRetriever:
    """Hits, and in place of those that make up most of a section, the section."""
    from ragkit.builtin.passages.merging import AutoMergingRetriever

    inner = _inner(options.retriever, context)
    return AutoMergingRetriever(context, inner, threshold=options.threshold, most=options.most, fetch=options.fetch)


def _inner(spec: Spec | None, context: BuildContext) -> Any:
    """The retriever that `spec` chooses; none means hybrid."""
    return build_hybrid(HybridOptions(), context) if spec is None else context.build(spec)


@hookimpl
def ragkit_retrievers() -> list[Component]:
    """`mmr`, `sentence_window` and `auto_merging`."""
    return [
        Component("mmr", MMROptions, build_mmr, summary="hits that are relevant and not all alike"),
        Component(
            "sentence_window",
            SentenceWindowOptions,
            build_sentence_window,
            summary="each hit with the chunks around it, as one passage",
        ),
        Component(
            "auto_merging",
            AutoMergingOptions,
            build_auto_merging,
            summary="the section in place of its chunks where most of them were found",
        ),
    ]
