"""What the retrievers that ask a language model first have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import QueryBundle

from ragkit import BuildContext
from ragkit.builtin.questions.asking import line
from ragkit.builtin.retrievers.base import OverRetriever
from ragkit.components import Hits

if TYPE_CHECKING:
    from llama_index.core.llms import LLM
    from llama_index.core.vector_stores.types import MetadataFilters


class AskingRetriever(OverRetriever):
    """A retriever that asks an LLM about the question, and then `inner`.

    An LLM that fails, or that says nothing of use, costs what it should have added: the question is asked as it is, and the
    trace calls the stage degraded.
    """

    def __init__(self, context: BuildContext, inner: Any, name: str, llm: LLM, prompt: str) -> None:
        super().__init__(context, inner, name)
        self._llm = llm
        self._prompt = prompt

    def _ask_each(
        self, query: QueryBundle, texts: Sequence[str], k: int, filters: MetadataFilters | None
    ) -> tuple[list[Hits], list[str]]:
        """What `inner` finds for the question, and for each of `texts`, as `q1`, `q2`, … in the trace; and what failed.

        A text that fails is left out; the question's own error is raised.
        """
        found = [self._inner.search(query, k, filters)]
        problems = []
        for number, text in enumerate(texts, 1):
            label = f"q{number}"
            try:
                found.append(self._inner.search(self._context.rephrase(query, text, label=label), k, filters))
            except Exception as error:  # noqa: BLE001 - the question itself was answered; the trace tells
                problems.append(f"{label} failed and is left out ({line(error)})")
        return found, problems

    def _merged(
        self, query: QueryBundle, texts: Sequence[str], k: int, filters: MetadataFilters | None,
        *, depth: int, merge: Callable[[Sequence[Sequence[str]]], Hits],
    ) -> Hits:  # fmt: skip
        """The best `k` of what `merge` makes of the best `depth` for the question and for each of `texts`."""
        found, problems = self._ask_each(query, texts, depth, filters)
        with self._context.run(query).stage(self.name, entered=len({item for ids, _ in found for item in ids})) as stage:
            for problem in problems:
                stage.degraded(problem)
            ids, scores = merge([ids for ids, _ in found])
            stage.hits(ids[:k], scores[:k])
        return ids[:k], scores[:k]


def routes(query: QueryBundle) -> dict[int, Any]:
    """Which way each router sent this question, by the router's `id`; kept with the question until its hits are presented."""
    kept: dict[int, Any] = vars(query).setdefault("ragkit_routes", {})
    return kept


def in_place_of(query: QueryBundle, other: QueryBundle) -> QueryBundle:
    """`other`, which is asked in place of `query`, so that routers present the hits of one as those of the other."""
    vars(other)["ragkit_routes"] = routes(query)
    return other
