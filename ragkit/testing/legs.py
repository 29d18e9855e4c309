"""Legs in memory over nodes: exact search by an embedding, and by words."""

from __future__ import annotations

import math
from collections import Counter
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ragkit.components import BuildContext, Hits
from ragkit.filters import matcher
from ragkit.words import plain_terms

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


@dataclass
class MemoryLeg(ABC):
    """What both share: every chunk is scored, ties go to the smaller id.

    `error` is raised instead of an answer, where it is set. Without `by_id` it scores no chunk by its id, as some stores
    cannot. With a `context` it records itself in the trace, as legs should.
    """

    name: str
    chunks: Sequence[BaseNode]
    floor: float | None = None
    error: Exception | None = None
    by_id: bool = True
    context: BuildContext | None = field(default=None, repr=False)

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """See `ragkit.components.Leg`."""
        with self._stage(query) as stage:
            passes = matcher(filters)
            nodes = [chunk for chunk in self.chunks if passes(chunk.metadata)]
            ids = [node.node_id for node in nodes]
            found = sorted(zip(ids, self._scores(query, nodes), strict=True), key=lambda hit: (-hit[1], hit[0]))
            best = [hit for hit in found if self.floor is None or hit[1] > self.floor][:k]
            hits = [id_ for id_, _ in best], [score for _, score in best]
            if stage is not None:
                stage.hits(*hits)
            return hits

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """See `ragkit.components.Leg`."""
        with self._stage(query, len(ids)) as stage:
            if not self.by_id:
                return None
            held = {chunk.node_id: chunk for chunk in self.chunks}
            known = [id_ for id_ in dict.fromkeys(ids) if id_ in held]
            found = dict(zip(known, self._scores(query, [held[id_] for id_ in known]), strict=True))
            scores = [found.get(id_, math.nan) for id_ in ids]
            if stage is not None:
                stage.scored(ids, scores)
            return scores

    @contextmanager
    def _stage(self, query: QueryBundle, entered: int = 0) -> Iterator[Any]:
        with nullcontext() if self.context is None else self.context.run(query).stage(self.name, entered) as stage:
            if self.error is not None:
                raise self.error
            yield stage

    @abstractmethod
    def _scores(self, query: QueryBundle, nodes: Sequence[BaseNode]) -> list[float]:
        """The score of each of `nodes`, which the leg holds."""


@dataclass
class MemoryDenseLeg(MemoryLeg):
    """The inner product with the question's vector; of `FakeEmbedding`, the cosine."""

    embedding: BaseEmbedding | None = field(default=None, repr=False)

    def _scores(self, query: QueryBundle, nodes: Sequence[BaseNode]) -> list[float]:
        assert self.embedding is not None
        question = self.embedding.get_agg_embedding_from_queries(query.embedding_strs)
        vectors = [self.embedding.get_text_embedding(node.get_content()) for node in nodes]
        return [sum(one * other for one, other in zip(question, vector, strict=True)) for vector in vectors]


@dataclass
class MemoryKeywordLeg(MemoryLeg):
    """BM25 without length normalisation: the rarity of each word times how often the text has it, saturating."""

    def _scores(self, query: QueryBundle, nodes: Sequence[BaseNode]) -> list[float]:
        texts = {chunk.node_id: Counter(plain_terms(chunk.get_content())) for chunk in self.chunks}
        asked = dict.fromkeys(plain_terms(query.query_str))
        rare = {word: math.log1p(len(texts) / (1 + sum(word in text for text in texts.values()))) for word in asked}
        counts = [texts[node.node_id] for node in nodes]
        return [sum(rare[word] * text[word] / (text[word] + 1.5) for word in asked) for text in counts]


def memory_legs(chunks: Sequence[BaseNode], embedding: BaseEmbedding) -> dict[str, MemoryLeg]:
    """`dense` and `keyword` over `chunks`, for `build_context(legs=…)`."""
    return {
        "dense": MemoryDenseLeg("dense", chunks, embedding=embedding),
        "keyword": MemoryKeywordLeg("keyword", chunks, floor=0.0),
    }
