"""The `BuildContext` that components get; its members are documented in `ragkit.components.context`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.components import Leg, LinkedSource, ScoreCache, Spec, Tokenizer, WeighsTerms
from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import LLM
    from llama_index.core.schema import BaseNode, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters

    from ragkit.query.run import QueryRun
    from ragkit.state.reader import Reader


class Shared(Protocol):
    """What every component of a configuration shares."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def embedding(self) -> BaseEmbedding: ...

    @property
    def llm(self) -> LLM | None: ...

    @property
    def scores(self) -> ScoreCache: ...

    def build(self, spec: Spec, *, folder: Path | None = None, offered: Offered | None = None) -> Any: ...

    def link_sources(self, links: Sequence[str], options: Mapping[str, Any], folder: Path) -> Iterator[LinkedSource]: ...


@dataclass(frozen=True)
class Offered:
    """What an open generation offers to the components that ask it."""

    reader: Reader
    term_weights: WeighsTerms
    top_k: int
    legs: Mapping[str, Leg] = field(default_factory=dict)
    vectors: Callable[[Sequence[str]], Mapping[str, Sequence[float]]] = lambda ids: {}


class Context:
    """A `BuildContext`."""

    def __init__(self, shared: Shared, folder: Path, collection: str, offered: Offered | None) -> None:
        self._shared = shared
        self._folder = folder
        self._offered = offered
        self.collection = collection

    @property
    def folder(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def embedding(self) -> BaseEmbedding:
        return self._shared.embedding

    @property
    def tokenizer(self) -> Tokenizer:
        return self._shared.tokenizer

    @property
    def llm(self) -> LLM | None:
        return self._shared.llm

    @property
    def legs(self) -> Mapping[str, Leg]:
        return self._generation("legs").legs

    @property
    def term_weights(self) -> WeighsTerms:
        return self._generation("term weights").term_weights

    @property
    def scores(self) -> ScoreCache:
        return self._shared.scores

    def build(self, spec: Spec) -> Any:
        return self._shared.build(spec, offered=self._offered)

    def link_sources(self, links: Sequence[str], options: Mapping[str, Any]) -> Iterator[LinkedSource]:
        return self._shared.link_sources(links, options, self.folder)

    def leg(self, retriever: Any, name: str) -> Leg:
        from ragkit.query.adapters import as_leg

        return as_leg(retriever, name, self._generation("legs").reader)

    def run(self, query: QueryBundle) -> QueryRun:
        from ragkit.query.run import run_of

        offered = self._generation("runs")
        return run_of(query, offered.top_k, generation=offered.reader.generation)

    def rephrase(
        self,
        query: QueryBundle,
        text: str,
        *,
        label: str = "",
        filters: MetadataFilters | None = None,
        embed: Sequence[str] = (),
    ) -> QueryBundle:
        from ragkit.query.run import rephrased

        offered = self._generation("runs")
        generation = offered.reader.generation
        return rephrased(query, text, offered.top_k, label=label, filters=filters, embed=embed, generation=generation)

    def hydrate(self, ids: Sequence[str], scores: Sequence[float] | None = None) -> list[Any]:
        from ragkit.query.hydrate import hydrate

        return hydrate(self._generation("chunks").reader, ids, scores)

    def nodes(self) -> Iterator[BaseNode]:
        from ragkit.query.hydrate import to_node

        for chunk in self._generation("chunks").reader.all():
            yield to_node(chunk)

    def neighbours(self, chunk_id: str, before: int = 1, after: int = 1) -> list[BaseNode]:
        from ragkit.query.hydrate import to_node

        return [to_node(chunk) for chunk in self._generation("chunks").reader.neighbours(chunk_id, before, after)]

    def parent(self, chunk_id: str) -> BaseNode | None:
        from ragkit.query.hydrate import to_parent

        found = self._generation("chunks").reader.parent(chunk_id)
        return to_parent(found) if found else None

    def passage(self, ids: Sequence[str]) -> BaseNode | None:
        from ragkit.query.hydrate import passage

        return passage(self._generation("chunks").reader, ids)

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        return self._generation("vectors").vectors(ids)

    def fields(self) -> Mapping[str, Sequence[Any]]:
        from ragkit.query.nothing import sample

        return sample(self._generation("metadata").reader)

    def has_field(self, key: str) -> bool:
        return self._generation("metadata").reader.has_key(key)

    def _generation(self, what: str) -> Offered:
        if self._offered is None:
            raise ComponentError(
                f"there are no {what} where this component is built",
                cure="ask for them in a retriever, a reranker or an answerer",
            )
        return self._offered


class StoreTerms:
    """A `WeighsTerms` over whichever keyword store is open when it is asked."""

    def __init__(self, weigher: Callable[[], WeighsTerms]) -> None:
        self._weigher = weigher

    def terms(self, text: str) -> list[str]:
        """See `WeighsTerms.terms`."""
        return self._weigher().terms(text)

    def idf(self, terms: Sequence[str]) -> list[float]:
        """See `WeighsTerms.idf`."""
        return self._weigher().idf(terms)
