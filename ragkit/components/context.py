"""What a component is given when it is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.components.component import Spec
from ragkit.components.links import LinkedSource
from ragkit.components.protocols import Leg, Tokenizer, WeighsTerms
from ragkit.components.stages import Run, ScoreCache

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import LLM
    from llama_index.core.schema import BaseNode, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


class BuildContext(Protocol):
    """Everything that a component may ask of its host, and nothing more.

    Members are lazy: asking for the tokenizer loads no model. One that does not exist at this point (the legs, for a
    source) raises `ComponentError`. `ragkit.testing.build_context` makes one for tests.
    """

    @property
    def folder(self) -> Path:
        """A folder of the component's own under the state, made when it is first asked for."""

    @property
    def collection(self) -> str:
        """The name that a store should give its collection: letters, digits and hyphens, at most 63 characters."""

    @property
    def embedding(self) -> BaseEmbedding:
        """The configured embedding, behind the embedding cache."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Counts tokens as the embedding does, and knows how many it reads."""

    @property
    def llm(self) -> LLM | None:
        """The configured LLM, or None."""

    @property
    def legs(self) -> Mapping[str, Leg]:
        """The legs over the generation's stores: `dense` and `keyword`."""

    @property
    def term_weights(self) -> WeighsTerms:
        """How the keyword store reads a text and weighs its terms; a plain word splitter where it cannot tell."""

    @property
    def scores(self) -> ScoreCache:
        """Where rerankers keep what their models said, so that the same question and text cost nothing the second time."""

    def build(self, spec: Spec) -> Any:
        """Build a nested component."""

    def link_sources(self, links: Sequence[str], options: Mapping[str, Any]) -> Iterator[LinkedSource]:
        """The sources whose `Component.links` take `links`, built one by one, in folders within this component's.

        A source whose option holds a list gets all its links at once. `options` are given to those sources that have them.
        What cannot be found or built is told in its `error`.
        """

    def leg(self, retriever: Any, name: str) -> Leg:
        """Any retriever as a leg called `name`; one that is no `Leg` itself is asked for nodes, and the trace says so."""

    def run(self, query: QueryBundle) -> Run:
        """The run that `query` belongs to; for a query from outside ragkit, a fresh one."""

    def rephrase(
        self,
        query: QueryBundle,
        text: str,
        *,
        label: str = "",
        filters: MetadataFilters | None = None,
        embed: Sequence[str] = (),
    ) -> QueryBundle:
        """The same query, wanting the same, with another `text`, to ask another retriever with.

        `filters` have to hold besides those of the query. `embed` are texts whose mean vector is searched for in place of
        that of `text`. What it does is recorded in the same trace; with a `label`, as stages called `label.name`.
        """

    def hydrate(self, ids: Sequence[str], scores: Sequence[float] | None = None) -> list[Any]:
        """The chunks as LlamaIndex `NodeWithScore`s in the given order, read in one batch; deleted ones are left out."""

    def nodes(self) -> Iterator[BaseNode]:
        """Every live chunk of the generation as a node, read lazily; for what builds an index of its own in memory."""

    def neighbours(self, chunk_id: str, before: int = 1, after: int = 1) -> list[BaseNode]:
        """The chunk with those around it in its document, in reading order."""

    def parent(self, chunk_id: str) -> BaseNode | None:
        """What this chunk was cut from, or None where its chunker says nothing of that. No search finds it.

        Its text is the document's; its LlamaIndex children are the chunks that were cut from it.
        """

    def passage(self, ids: Sequence[str]) -> BaseNode | None:
        """One node for the text from the first to the last of these chunks, which must be of one document.

        Its text is the document's, with what lies between the chunks, its offsets are in the document, and its id is that
        of `ids[0]`. None where none of them is alive.
        """

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """The vectors of those of `ids` that are alive: from the store, else from the embedding or its cache."""

    def fields(self) -> Mapping[str, Sequence[Any]]:
        """The metadata keys of a sample of the documents, each with a few of its values; for telling a model about them."""

    def has_field(self, key: str) -> bool:
        """Whether any live chunk has metadata under `key`."""
