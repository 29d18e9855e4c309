"""LlamaIndex's `BM25Retriever`, without its hits of score 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.retrievers.bm25 import BM25Retriever

from ragkit.analysis import snowball

if TYPE_CHECKING:
    from ragkit_bm25 import LlamaIndexBM25Options


class PositiveBM25Retriever(BM25Retriever):
    """Returns the nodes in which a term of the question occurs, best first; they are copies of those it was built over."""

    @classmethod
    def over(cls, nodes: Sequence[BaseNode], options: LlamaIndexBM25Options) -> BaseRetriever:
        """Index `nodes` in memory. LlamaIndex's class refuses an empty list; over none, every search finds nothing."""
        if not nodes:
            return _Empty()
        stemmer = snowball(options.language)
        settings: dict[str, Any] = {"stemmer": stemmer, "skip_stemming": stemmer is None}
        retriever: BaseRetriever = cls(
            nodes=list(nodes), similarity_top_k=min(options.candidates, len(nodes)), language="en", **settings
        )
        return retriever

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found: list[NodeWithScore] = super()._retrieve(query_bundle)
        return [hit for hit in found if hit.score and hit.score > 0]


class _Empty(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return []
