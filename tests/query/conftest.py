"""An index in memory: a reader, two stores and a build context, as the query layer meets them."""

from __future__ import annotations

import math
import re
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding

from ragkit.filters import matches
from ragkit.query.adapters import as_leg
from ragkit.query.hydrate import fields, hydrate, passage, to_node
from ragkit.query.legs import DenseLeg, KeywordLeg
from ragkit.query.nothing import sample
from ragkit.query.run import rephrased, run_of
from ragkit.state.records import ChunkRecord, DocumentRecord
from ragkit.testing import FakeScores


class WordEmbedding(BaseEmbedding):
    """Hashed bags of words; counts its questions."""

    asked: list[str] = []  # noqa: RUF012 - pydantic copies it

    def _vector(self, text: str) -> list[float]:
        vector = np.zeros(512)
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 512] += 1
        norm = float(np.linalg.norm(vector))
        return [float(value) for value in (vector / norm if norm else vector)]

    def _get_query_embedding(self, query: str) -> list[float]:
        self.asked.append(query)
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text)


class MemoryReader:
    def __init__(self, texts: Sequence[str], metadata: Sequence[Mapping[str, Any]]) -> None:
        self.generation = 3
        self.deleted: set[str] = set()
        self.records: dict[str, ChunkRecord] = {}
        self.pages: dict[str, DocumentRecord] = {}
        for number, text in enumerate(texts):
            document_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"document {number}"))
            whole = f"# Page {number}\n\n{text}\n"
            start = whole.index(text)
            chunk_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"chunk {number}"))
            self.pages[document_id] = DocumentRecord(number, document_id, "docs", f"page{number}.md", whole, f"Page {number}")
            self.records[chunk_id] = ChunkRecord(
                number, chunk_id, document_id, "docs", f"page{number}.md", f"Page {number}", 0, text, start, start + len(text),
                "", None, metadata[number],
            )  # fmt: skip

    def alive(self, ids: Sequence[str]) -> dict[str, int]:
        return {item: self.records[item].key for item in ids if item in self.records and item not in self.deleted}

    def all_alive(self, ids: Sequence[str]) -> bool:
        return len(self.alive(ids)) == len(ids)

    def chunks(self, ids: Sequence[str]) -> list[ChunkRecord]:
        return [self.records[item] for item in self.alive(ids)]

    def neighbours(self, chunk_id: str, before: int, after: int) -> list[ChunkRecord]:
        centre = self.records[chunk_id]
        near = [item for item in self.records.values() if item.document_id == centre.document_id]
        return [item for item in near if centre.ordinal - before <= item.ordinal <= centre.ordinal + after]

    def inputs(self, ids: Sequence[str]) -> dict[str, str]:
        return {item: self.records[item].text for item in self.alive(ids)}

    def document(self, document_id: str) -> DocumentRecord | None:
        return self.pages.get(document_id)

    def document_of(self, chunk_id: str) -> DocumentRecord | None:
        return self.pages[self.records[chunk_id].document_id] if self.alive([chunk_id]) else None

    def documents(self, *, texts: bool = True) -> Iterator[DocumentRecord]:
        for record in self.records.values():
            yield replace(self.pages[record.document_id], metadata=record.metadata)

    def has_key(self, key: str) -> bool:
        return any(key in fields(record) for record in self.records.values())

    def count(self) -> int:
        return len(self.alive(list(self.records)))


class MemoryStore:
    """Both stores in one: exact search over what was put in, deleted chunks included until `purge`."""

    def __init__(self, name: str, reader: MemoryReader, embedding: WordEmbedding | None) -> None:
        self.name = name
        self.capabilities: dict[str, Any] = {"filters": False}
        self.evaluates_filters = True
        self.scores_by_id = True
        self.error: Exception | None = None
        self.asked: list[int] = []
        self._records = dict(reader.records)
        self._vectors = {key: embedding._vector(item.text) for key, item in reader.records.items()} if embedding else {}
        self._words = {key: Counter(terms(item.text)) for key, item in reader.records.items()}

    def search(self, query: Any) -> tuple[list[str], list[float]]:
        self.asked.append(query.similarity_top_k)
        if self.error:
            raise self.error
        ids = [key for key in self._records if query.filters is None or matches(query.filters, fields(self._records[key]))]
        if self._vectors:
            scores = [float(np.dot(self._vectors[key], query.query_embedding)) for key in ids]
        else:
            scores = [self._bm(query.query_str, key) for key in ids]
        best = sorted(zip(ids, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[: query.similarity_top_k]
        return [item for item, _ in best], [score for _, score in best]

    def evaluates(self, filters: Any) -> bool:
        return self.evaluates_filters

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None:
        return {item: self._vectors[item] for item in ids if item in self._vectors} if self.scores_by_id else None

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float] | None:
        return [self._bm(query, item) for item in ids] if self.scores_by_id else None

    def highest_score(self, query: str) -> float | None:
        return None

    def count(self) -> int | None:
        return len(self._records)

    def _bm(self, query: str, key: str) -> float:
        words = self._words[key]
        df = {term: sum(term in other for other in self._words.values()) for term in terms(query)}
        return sum(math.log1p(len(self._words) / (df[term] or 1)) * words[term] / (words[term] + 1) for term in df)


class Terms:
    """A `WeighsTerms` over the index."""

    def __init__(self, reader: MemoryReader) -> None:
        self._texts = [set(terms(record.text)) for record in reader.records.values()]

    def terms(self, text: str) -> list[str]:
        return terms(text)

    def idf(self, wanted: Sequence[str]) -> list[float]:
        return [math.log1p(len(self._texts) / (sum(term in text for text in self._texts) + 0.5)) for term in wanted]


def terms(text: str) -> list[str]:
    stop = {"the", "a", "is", "of", "in", "to", "and", "how", "what", "which", "do", "does", "it", "for"}
    return [word for word in re.findall(r"\w+", text.lower()) if word not in stop]


@dataclass
class Index:
    """Everything that a test needs; also the part of a `BuildContext` that retrievers and answerers use."""

    reader: MemoryReader
    embedding: WordEmbedding
    dense: MemoryStore
    keyword: MemoryStore
    top_k: int = 5
    llm: Any = None
    scores: FakeScores = field(default_factory=FakeScores)
    legs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.legs = {"dense": DenseLeg(self.dense, self.embedding, self.reader), "keyword": KeywordLeg(self.keyword, self.reader)}
        self.term_weights = Terms(self.reader)

    def leg(self, retriever: Any, name: str) -> Any:
        return as_leg(retriever, name, self.reader)

    def run(self, query: Any) -> Any:
        return run_of(query, self.top_k, generation=self.reader.generation)

    def rephrase(self, query: Any, text: str, **how: Any) -> Any:
        return rephrased(query, text, self.top_k, **how, generation=self.reader.generation)

    def build(self, spec: Any) -> Any:
        return spec.component.build(spec.options, self)

    def hydrate(self, ids: Sequence[str], scores: Sequence[float] | None = None) -> Any:
        return hydrate(self.reader, ids, scores)

    def vectors(self, ids: Sequence[str]) -> Any:
        return self.legs["dense"].vectors(ids)

    def neighbours(self, chunk_id: str, before: int = 1, after: int = 1) -> Any:
        return [to_node(chunk) for chunk in self.reader.neighbours(chunk_id, before, after)]

    def passage(self, ids: Sequence[str]) -> Any:
        return passage(self.reader, ids)

    def fields(self) -> Any:
        return sample(self.reader)

    def has_field(self, key: str) -> bool:
        return self.reader.has_key(key)

    def id(self, number: int) -> str:
        return list(self.reader.records)[number]

    def numbers(self, ids: Sequence[str]) -> list[int]:
        return [self.reader.records[item].key for item in ids]


TEXTS = (
    "The cache keeps vectors of living chunks. Its size is bounded for orphans only.",
    "Install the package with pip. Then run the demo to see a first answer.",
    "A reranker orders candidates again. It needs a cross encoder model.",
    "BM25 weighs rare words. The parameter b controls how document length counts.",
    "Vectors of similar texts lie close together. The cosine measures how close.",
    "The ledger holds documents and chunks. Every index is a view of the ledger.",
    "Delete a document and its chunks vanish from both stores.",
    "The quick brown fox jumps over the lazy dog near the river bank.",
)


@pytest.fixture
def make_index() -> Any:
    def make(texts: Sequence[str] = TEXTS, metadata: Sequence[Mapping[str, Any]] | None = None) -> Index:
        about = (
            metadata
            if metadata is not None
            else [{"year": 2015 + number, "tags": ["a", "b"][: 1 + number % 2]} for number in range(len(texts))]
        )
        reader = MemoryReader(texts, about)
        embedding = WordEmbedding(asked=[])
        return Index(reader, embedding, MemoryStore("vectors", reader, embedding), MemoryStore("words", reader, None))

    return make


@pytest.fixture
def index(make_index: Any) -> Index:
    return make_index()
