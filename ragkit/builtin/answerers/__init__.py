"""The built-in answerers: `extractive` quotes the best sentences, `llm` writes from numbered passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import field_validator

from ragkit import BuildContext, Component, Options, hookimpl, runtime
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.response_synthesizers import BaseSynthesizer

PLACES = ("{passages}", "{question}")

_ABSTAIN = "how sure to be that the documents answer, from 0 (always answer) to 1; below it there is no answer"


class ExtractiveOptions(Options):
    """How much is quoted, and when nothing is."""

    max_sentences: int = runtime(3, ge=1, le=20, description="how many sentences an answer has at most")
    abstain_below: float = runtime(0.5, ge=0, le=1, description=_ABSTAIN)


class LLMOptions(Options):
    """How the LLM is asked, and when it is not; it has options of its own under `llm`."""

    abstain_below: float = runtime(0.5, ge=0, le=1, description=_ABSTAIN)
    prompt: str | None = runtime(
        None,
        max_length=20_000,
        description="what the LLM is told, with `{passages}` and `{question}` where they belong; by default to answer from the "
        "passages alone and to cite them",
    )

    @field_validator("prompt")
    @classmethod
    def _has_its_places(cls, prompt: str | None) -> str | None:
        if prompt is not None and any(prompt.count(place) != 1 for place in PLACES):
            raise ValueError(f"must have {' and '.join(PLACES)} in it, once each")
        return prompt


def build_extractive(options: ExtractiveOptions, context: BuildContext) -> BaseSynthesizer:
    """Quotes the sentences that hold most of the question's rare words; needs no model."""
    from ragkit.builtin.answerers.extractive import ExtractiveSynthesizer

    return ExtractiveSynthesizer(context, max_sentences=options.max_sentences, abstain_below=options.abstain_below)


def build_llm(options: LLMOptions, context: BuildContext) -> BaseSynthesizer:
    """Has the LLM answer from numbered passages and checks the numbers that it cites."""
    if context.llm is None:
        raise ComponentError(
            "`answer: llm` needs a language model, and none is configured",
            component="llm",
            cure="name one under `llm:`, or use `answer: extractive`",
        )
    from ragkit.builtin.answerers.cited import CitedSynthesizer

    return CitedSynthesizer(context, context.llm, abstain_below=options.abstain_below, prompt=options.prompt)


@hookimpl
def ragkit_answerers() -> list[Component]:
    """`extractive` and `llm`."""
    return [
        Component("extractive", ExtractiveOptions, build_extractive, summary="quotes the best sentences; needs no model"),
        Component(
            "llm",
            LLMOptions,
            build_llm,
            summary="writes an answer with the LLM, citing numbered passages",
            capabilities={"needs": ["llm"]},
        ),
    ]
