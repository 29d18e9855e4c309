"""The built-in retrievers: `dense`, `keyword`, and `hybrid`, which fuses legs by their true scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from ragkit import BuildContext, Component, Options, hookimpl, runtime
from ragkit.components import RetrieverSpec

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever


class LegOptions(Options):
    """The retriever over one store has none."""


class HybridOptions(Options):
    """How the legs are weighed and fused."""

    alpha: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = runtime(
        0.6, description="the weight of the first leg (dense), the others share 1 - alpha; `auto` reads it off the question"
    )
    adaptive: bool = runtime(
        True, description="move alpha for each question by how far the best keyword hit stands out; false keeps it as it is"
    )
    depth: int = runtime(100, ge=1, le=1_000, description="how many candidates each leg is asked for")
    fusion: Literal["convex", "rrf"] = runtime(
        "convex", description="what is added up: the legs' scores, made comparable, or reciprocal ranks"
    )
    normaliser: Literal["zscore", "minmax", "distribution", "theoretical"] = runtime(
        "zscore", description="how the scores of the legs are made comparable, for `fusion: convex`"
    )
    rrf_k: int = runtime(60, ge=1, le=10_000, description="the constant of `fusion: rrf`: a larger one lets ranks differ less")
    legs: list[RetrieverSpec] = runtime([], description="the retrievers to fuse; none means dense and keyword")

    @field_validator("legs")
    @classmethod
    def _check_legs(cls, legs: list[RetrieverSpec]) -> list[RetrieverSpec]:
        if len(legs) == 1:
            raise ValueError("one leg is nothing to fuse; name two or more, or none for dense and keyword")
        names = [leg.name or leg.use for leg in legs]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"legs need different names; give one of the legs called {', '.join(map(repr, double))} a `name`")
        return legs


def build_dense(options: LegOptions, context: BuildContext) -> BaseRetriever:
    """The best chunks of the vector store."""
    from ragkit.builtin.retrievers.base import LegRetriever

    return LegRetriever(context, context.legs["dense"])


def build_keyword(options: LegOptions, context: BuildContext) -> BaseRetriever:
    """The best chunks of the keyword store."""
    from ragkit.builtin.retrievers.base import LegRetriever

    return LegRetriever(context, context.legs["keyword"])


def build_hybrid(options: HybridOptions, context: BuildContext) -> BaseRetriever:
    """The best chunks of several legs together."""
    from ragkit.builtin.retrievers.hybrid import Fusing, HybridRetriever

    if options.legs:
        legs = [context.leg(context.build(spec), spec.name or spec.use) for spec in options.legs]
    else:
        legs = [context.legs["dense"], context.legs["keyword"]]
    return HybridRetriever(
        context,
        legs,
        alpha=options.alpha,
        depth=options.depth,
        fusing=Fusing(options.fusion, options.normaliser, options.rrf_k),
        adaptive=options.adaptive,
    )


@hookimpl
def ragkit_retrievers() -> list[Component]:
    """`dense`, `keyword` and `hybrid`."""
    return [
        Component("dense", LegOptions, build_dense, summary="the vector store alone", capabilities={"score_by_id": True}),
        Component("keyword", LegOptions, build_keyword, summary="the keyword store alone", capabilities={"score_by_id": True}),
        Component(
            "hybrid",
            HybridOptions,
            build_hybrid,
            summary="vector and keyword store fused, every candidate scored by both",
            capabilities={"settings": ["alpha"]},
        ),
    ]
