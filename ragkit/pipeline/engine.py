"""The pipeline as a LlamaIndex retriever, for LlamaIndex code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

if TYPE_CHECKING:
    from ragkit.pipeline.facade import Pipeline


class PipelineRetriever(BaseRetriever):
    """Retrieves and reranks as `Pipeline.search` does.

    It reads the question of a LlamaIndex query bundle and nothing else: `custom_embedding_strs` (of a HyDE transform) and a
    ready `embedding` are passed over, because the question is embedded by the model that the index was made with.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return list(self._pipeline.search(query_bundle.query_str).nodes)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
