"""Legs in memory over nodes: exact search by the fake embedding, and by words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit.components import Hits, Leg
from ragkit.filters import matcher
from ragkit.words import plain_terms

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


@dataclass
class MemoryLeg:
    """What both share: every chunk is scored, ties go to the smaller id. `error` is raised instead, where it is set."""

    name: str
    chunks: Sequence[BaseNode]
    floor: float | None = None
    error: Exception | None = None

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        if self.error is not None:
            raise self.error
        passes = matcher(filters)
        ids = [chunk.node_id for chunk in self.chunks if passes(chunk.metadata)]
        found = sorted(zip(ids, self.score(query, ids), strict=True), key=lambda hit: (-hit[1], hit[0]))
        best = [hit for hit in found if self.floor is None or hit[1] > self.floor][:k]
        return [id_ for id_, _ in best], [score for _, score in best]

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float]:
        raise NotImplementedError

    def _text(self, chunk_id: str) -> str:
        return next((chunk.get_content() for chunk in self.chunks if chunk.node_id == chunk_id), "")


@dataclass
class MemoryDenseLeg(MemoryLeg):
    """The cosine with the question's vector."""

    embedding: BaseEmbedding | None = field(default=None, repr=False)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float]:
        if self.error is not None:
            raise self.error
        assert self.embedding is not None
        question = self.embedding.get_agg_embedding_from_queries(query.embedding_strs)
        vectors = [self.embedding.get_text_embedding(self._text(id_)) for id_ in ids]
        return [sum(one * other for one, other in zip(question, vector, strict=True)) for vector in vectors]


@dataclass
class MemoryKeywordLeg(MemoryLeg):
    """BM25 without its constants: the rarity of each word times how much of the text it is."""

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float]:
        if self.error is not None:
            raise self.error
        texts = {chunk.node_id: Counter(plain_terms(chunk.get_content())) for chunk in self.chunks}
        asked = dict.fromkeys(plain_terms(query.query_str))
        rare = {word: math.log1p(len(texts) / (1 + sum(word in text for text in texts.values()))) for word in asked}
        counts = [texts.get(id_, Counter()) for id_ in ids]
        return [sum(rare[word] * text[word] / (text[word] + 1.5) for word in asked) for text in counts]


def memory_legs(chunks: Sequence[BaseNode], embedding: BaseEmbedding) -> dict[str, Leg]:
    """`dense` and `keyword` over `chunks`, for `build_context(legs=…)`."""
    return {
        "dense": MemoryDenseLeg("dense", chunks, embedding=embedding),
        "keyword": MemoryKeywordLeg("keyword", chunks, floor=0.0),
    }
