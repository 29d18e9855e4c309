"""The built-in rerankers: `mmr`, `threshold`, `recency`, and `llm`, which has a language model put the hits in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import field_validator, model_validator

from ragkit import BuildContext, Component, RerankerOptions, hookimpl, runtime
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor


class MMROptions(RerankerOptions):
    """How much the hits should differ."""

    diversity: float = runtime(
        0.3, ge=0, le=1, description="how much a hit loses for being like a better one, from 0 (the order stays) to 1"
    )


class ThresholdOptions(RerankerOptions):
    """Below what a hit is dropped; at least one of `min_score` and `relative` is needed, and with both, both have to hold."""

    min_score: float | None = runtime(None, allow_inf_nan=False, description="drop hits whose score is lower than this")
    relative: float | None = runtime(
        None, ge=0, le=1, description="drop hits whose score is lower than this share of the best hit's, from 0 to 1"
    )
    stage: str | None = runtime(
        None, min_length=1, description="whose score counts, such as dense or keyword; none means the stage before"
    )

    @model_validator(mode="after")
    def _cuts(self) -> Self:
        if self.min_score is None and self.relative is None:
            raise ValueError("nothing says what to drop; set min_score, relative or both")
        return self


class RecencyOptions(RerankerOptions):
    """What makes a hit new, and how much that counts."""

    key: str = runtime("date", min_length=1, description="the metadata key that holds the date, in ISO 8601, or the year")
    half_life_days: float = runtime(
        180, gt=0, le=100_000, description="after how many days a hit is worth half as much as a new one"
    )
    weight: float = runtime(0.3, ge=0, le=1, description="how much the date counts beside the relevance, from 0 to 1")


class LLMRerankerOptions(RerankerOptions):
    """What the LLM reads, and how it is asked; the LLM has options of its own under `llm`."""

    candidates: int = runtime(20, ge=2, le=200, description="how many of the best hits are put in order")
    window: int = runtime(20, ge=2, le=100, description="how many hits the LLM is shown at once")
    step: int | None = runtime(
        None, ge=1, le=99, description="how far the window moves where there are more hits; none means half of it"
    )
    passage_chars: int = runtime(600, ge=50, le=20_000, description="how many characters of each hit the LLM reads")
    prompt: str | None = runtime(
        None, description="another prompt; {question} and {passages} stand for what they say, {count} for the number of passages"
    )

    @field_validator("prompt")
    @classmethod
    def _fills(cls, prompt: str | None) -> str | None:
        if prompt is not None:
            from ragkit.builtin.rerankers.listwise import check_prompt

            check_prompt(prompt)
        return prompt

    @model_validator(mode="after")
    def _overlaps(self) -> Self:
        if self.step is not None and self.step >= self.window:
            raise ValueError(f"step is {self.step} and window {self.window}; step has to be lower, so that windows overlap")
        return self


def build_mmr(options: MMROptions, context: BuildContext) -> BaseNodePostprocessor:
    """Hits that are relevant and not all alike."""
    from ragkit.builtin.rerankers.mmr import MMRReranker

    return MMRReranker(context, diversity=options.diversity)


def build_threshold(options: ThresholdOptions, context: BuildContext) -> BaseNodePostprocessor:
    """Hits that score high enough."""
    from ragkit.builtin.rerankers.threshold import ThresholdReranker

    return ThresholdReranker(context, min_score=options.min_score, relative=options.relative, stage=options.stage)


def build_recency(options: RecencyOptions, context: BuildContext) -> BaseNodePostprocessor:
    """Newer hits first, as far as relevance lets them."""
    from ragkit.builtin.rerankers.recency import RecencyReranker

    return RecencyReranker(context, key=options.key, half_life_days=options.half_life_days, weight=options.weight)


def build_llm(options: LLMRerankerOptions, context: BuildContext) -> BaseNodePostprocessor:
    """Hits in the order in which the LLM puts them."""
    if context.llm is None:
        raise ComponentError(
            "the reranker `llm` needs a language model, and none is configured",
            component="llm",
            cure="name one under `llm:`, or remove `llm` from `rerankers:`",
        )
    from ragkit.builtin.rerankers.llm import LLMReranker

    return LLMReranker(
        context,
        context.llm,
        window=options.window,
        step=options.step,
        passage_chars=options.passage_chars,
        prompt=options.prompt,
    )


@hookimpl
def ragkit_rerankers() -> list[Component]:
    """`mmr`, `threshold`, `recency` and `llm`."""
    return [
        Component("mmr", MMROptions, build_mmr, summary="hits that are relevant and not all alike"),
        Component("threshold", ThresholdOptions, build_threshold, summary="drops hits that score too low"),
        Component("recency", RecencyOptions, build_recency, summary="newer hits first, as far as relevance lets them"),
        Component(
            "llm",
            LLMRerankerOptions,
            build_llm,
            summary="has the LLM put the hits in order, all in one list",
            capabilities={"needs": ["llm"]},
        ),
    ]
