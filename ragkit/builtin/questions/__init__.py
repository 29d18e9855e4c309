"""Retrievers that ask another one in other words, or another one altogether.

`multi_query`, `hyde`, `decompose` and `self_query` have the LLM say something about the question first; `router` chooses a
retriever by a pattern, by a category in the filter, or by a description that the LLM compares with the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from ragkit import BuildContext, Component, Options, Spec, hookimpl, runtime
from ragkit.builtin.retrievers import HybridOptions, build_hybrid
from ragkit.components import RetrieverSpec
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.llms import LLM

    from ragkit.builtin.questions.router import Way

_INNER = "the retriever that is asked; none means hybrid"


class _Prompted(Options):
    """A prompt that may be replaced. It has to have the fields `needs`, and may have `takes`."""

    needs: ClassVar[tuple[str, ...]] = ("question",)
    takes: ClassVar[tuple[str, ...]] = ()

    prompt: str | None = runtime(None, description="another prompt, with {question}")

    @field_validator("prompt")
    @classmethod
    def _fills(cls, prompt: str | None) -> str | None:
        if prompt is not None:
            from ragkit.builtin.questions.asking import check_prompt

            check_prompt(prompt, cls.needs, (*cls.needs, *cls.takes))
        return prompt


class MultiQueryOptions(_Prompted):
    """How many variants of the question are asked, and whom."""

    takes: ClassVar[tuple[str, ...]] = ("queries",)

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    queries: int = runtime(3, ge=1, le=10, description="how many variants of the question the LLM writes")
    depth: int = runtime(50, ge=1, le=1_000, description="how many candidates each variant is asked for")
    prompt: str | None = runtime(
        None, description="another prompt; {question} stands for the question between marks, {queries} for the number of variants"
    )


class HydeOptions(_Prompted):
    """What is searched for in place of the question, and where."""

    takes: ClassVar[tuple[str, ...]] = ("passages",)

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    passages: int = runtime(1, ge=1, le=8, description="how many passages the LLM writes")
    include_question: bool = runtime(True, description="take the question into the mean vector, too")
    prompt: str | None = runtime(
        None, description="another prompt; {question} stands for the question between marks, {passages} for how many passages"
    )


class DecomposeOptions(_Prompted):
    """Into how many questions a question is split, and who is asked them."""

    takes: ClassVar[tuple[str, ...]] = ("questions",)

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    questions: int = runtime(4, ge=2, le=10, description="how many sub-questions there are at most")
    prompt: str | None = runtime(
        None,
        description="another prompt; {question} stands for the question between marks, {questions} for how many at most",
    )


class SelfQueryOptions(_Prompted):
    """What the LLM may filter by, and who is asked with that filter."""

    needs: ClassVar[tuple[str, ...]] = ("question", "fields")
    takes: ClassVar[tuple[str, ...]] = ("today",)

    retriever: RetrieverSpec | None = runtime(None, description=_INNER)
    keys: list[str] | None = runtime(None, min_length=1, description="the metadata keys to filter by; none means all")
    relax: bool = runtime(True, description="ask again without the filter where nothing passes it")
    prompt: str | None = runtime(
        None,
        description="another prompt; {question} stands for the question between marks, {fields} for the keys with some of their "
        "values, {today} for the date",
    )


class Route(Options):
    """A retriever, and which questions go to it: one of `pattern`, `category` and `description`."""

    retriever: RetrieverSpec = runtime(description="who is asked")
    pattern: str | None = runtime(None, min_length=1, description="a regular expression that the question has somewhere")
    category: Annotated[str, Field(min_length=1)] | None = runtime(
        None, description="the value that the query's filter asks for under the router's `key`"
    )
    description: str | None = runtime(None, min_length=1, description="what the route is for, in words that the LLM chooses by")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            from ragkit.builtin.questions.patterns import check_pattern

            check_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        given = [name for name in ("pattern", "category", "description") if getattr(self, name) is not None]
        if len(given) != 1:
            told = f"has {' and '.join(given)}" if given else "says not which questions it is for"
            raise ValueError(f"{told}; give a route exactly one of pattern, category and description")
        return self


class RouterOptions(_Prompted):
    """Where a question goes: to the first route that matches."""

    needs: ClassVar[tuple[str, ...]] = ("question", "routes")

    routes: list[Route] = runtime(min_length=1, max_length=50, description="retrievers with the questions that go to them")
    default: RetrieverSpec | None = runtime(None, description="the retriever of all other questions; none means hybrid")
    key: str = runtime("category", min_length=1, description="the metadata key of routes with a category")
    prompt: str | None = runtime(
        None,
        description="another prompt; {question} stands for the question between marks, {routes} for the descriptions",
    )

    @property
    def described(self) -> bool:
        """Whether some route is chosen by its description."""
        return any(route.description is not None for route in self.routes)


def build_multi_query(options: MultiQueryOptions, context: BuildContext) -> BaseRetriever:
    """The question and variants of it, fused by rank."""
    llm = _llm(context, "multi_query")
    from ragkit.builtin.questions.several import MultiQueryRetriever

    inner = _inner(options.retriever, context)
    return MultiQueryRetriever(context, inner, llm, queries=options.queries, depth=options.depth, prompt=options.prompt)


def build_hyde(options: HydeOptions, context: BuildContext) -> BaseRetriever:
    """What is near to a passage that could answer."""
    llm = _llm(context, "hyde")
    from ragkit.builtin.questions.hyde import HydeRetriever

    return HydeRetriever(
        context,
        _inner(options.retriever, context),
        llm,
        passages=options.passages,
        include_question=options.include_question,
        prompt=options.prompt,
    )


def build_decompose(options: DecomposeOptions, context: BuildContext) -> BaseRetriever:
    """The best for each part of the question."""
    llm = _llm(context, "decompose")
    from ragkit.builtin.questions.several import DecomposeRetriever

    inner = _inner(options.retriever, context)
    return DecomposeRetriever(context, inner, llm, questions=options.questions, prompt=options.prompt)


def build_self_query(options: SelfQueryOptions, context: BuildContext) -> BaseRetriever:
    """What satisfies the conditions that the question states."""
    llm = _llm(context, "self_query")
    from ragkit.builtin.questions.self_query import SelfQueryRetriever

    inner = _inner(options.retriever, context)
    return SelfQueryRetriever(context, inner, llm, relax=options.relax, keys=options.keys, prompt=options.prompt)


def build_router(options: RouterOptions, context: BuildContext) -> BaseRetriever:
    """What the retriever finds to which the question is sent."""
    llm = _llm(context, "router") if options.described else None
    from ragkit.builtin.questions.router import RouterRetriever

    ways = [_way(route.retriever, context, route) for route in options.routes]
    default = _way(options.default, context)
    return RouterRetriever(context, ways, default, key=options.key, llm=llm, prompt=options.prompt)


def _way(spec: Spec | None, context: BuildContext, route: Route | None = None) -> Way:
    from ragkit.builtin.questions.router import Way
    from ragkit.components import Leg

    name = "hybrid" if spec is None else spec.name or spec.use
    inner = _inner(spec, context)
    leg = inner if isinstance(inner, Leg) else context.leg(inner, name)
    return Way(name, leg, *((route.pattern, route.category, route.description) if route else ()))


def _inner(spec: Spec | None, context: BuildContext) -> Any:
    """The retriever that `spec` chooses; none means hybrid."""
    return build_hybrid(HybridOptions(), context) if spec is None else context.build(spec)


def _llm(context: BuildContext, use: str) -> LLM:
    if context.llm is None:
        raise ComponentError(
            f"the retriever `{use}` needs a language model, and none is configured",
            component=use,
            cure="name one under `llm:`, or use `retriever: hybrid`",
        )
    return context.llm


def _adapted(options: RouterOptions) -> Mapping[str, Any]:
    return {"needs": ["llm"]} if options.described else {}


@hookimpl
def ragkit_retrievers() -> list[Component]:
    """`multi_query`, `hyde`, `decompose`, `self_query` and `router`."""
    needs = {"needs": ["llm"]}
    return [
        Component(
            "multi_query",
            MultiQueryOptions,
            build_multi_query,
            summary="asks variants of the question that the LLM writes, and fuses by rank",
            capabilities=needs,
        ),
        Component(
            "hyde",
            HydeOptions,
            build_hyde,
            summary="searches for the vector of a passage that the LLM imagines as the answer",
            capabilities=needs,
        ),
        Component(
            "decompose",
            DecomposeOptions,
            build_decompose,
            summary="asks the parts of the question that the LLM splits it into, and takes hits in turn",
            capabilities=needs,
        ),
        Component(
            "self_query",
            SelfQueryOptions,
            build_self_query,
            summary="has the LLM turn conditions that the question states into a filter",
            capabilities=needs,
        ),
        Component(
            "router",
            RouterOptions,
            build_router,
            summary="sends a question to one of several retrievers",
            adapt=_adapted,
        ),
    ]
