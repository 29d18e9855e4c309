"""A `BuildContext` for tests: what a component may ask of its host, from what the test gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.components import Component, Hits, Leg, LinkedSource, ScoreCache, Spec, Tokenizer, WeighsTerms, link_sources
from ragkit.errors import ComponentError
from ragkit.words import PlainTerms, WordTokenizer

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import LLM
    from llama_index.core.schema import BaseNode, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters


@dataclass
class FakeStage:
    """A stage that keeps what it is told."""

    name: str
    entered: int = 0
    found: Hits = field(default_factory=lambda: ([], []))
    extra: dict[str, float] = field(default_factory=dict)
    status: str = "ok"
    detail: str = ""

    def hits(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        self.found = (list(ids), list(scores))

    def scored(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        self.extra.update(zip(ids, scores, strict=True))

    def note(self, detail: str) -> None:
        self.detail = detail

    def degraded(self, detail: str) -> None:
        self.status, self.detail = "degraded", detail

    def skipped(self, detail: str) -> None:
        self.status, self.detail = "skipped", detail


@dataclass
class FakeRun:
    """A run that keeps its stages in `stages`."""

    top_k: int = 5
    filters: MetadataFilters | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    stages: list[FakeStage] = field(default_factory=list)
    here: FakeStage = field(default_factory=lambda: FakeStage("here"))

    def score_of(self, stage: str, chunk_id: str) -> float | None:
        known: dict[str, float] = {}
        for one in self.stages:
            if one.name == stage:
                known |= one.extra | dict(zip(*one.found, strict=True))
        return known.get(chunk_id)

    @contextmanager
    def stage(self, name: str, entered: int = 0) -> Iterator[FakeStage]:
        stage = FakeStage(name, entered)
        self.stages.append(stage)
        yield stage


@dataclass
class FakeScores:
    """A score cache in memory; `hits` and `misses` count what was asked."""

    kept: dict[tuple[str, str, str], float] = field(default_factory=dict)
    hits: int = 0
    misses: int = 0

    def get(self, model: str, query: str, texts: Sequence[str]) -> list[float | None]:
        found = [self.kept.get((model, query, text)) for text in texts]
        self.misses += found.count(None)
        self.hits += len(found) - found.count(None)
        return found

    def put(self, model: str, query: str, scores: Mapping[str, float]) -> None:
        self.kept.update({(model, query, text): score for text, score in scores.items()})


@dataclass(frozen=True)
class _NodesLeg:
    """A retriever asked for nodes, as a leg."""

    retriever: Any
    name: str

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        hits = self.retriever.retrieve(query)[:k]
        return [hit.node.node_id for hit in hits], [hit.score or 0.0 for hit in hits]

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        return None


@dataclass(frozen=True)
class _NamedLeg:
    leg: Leg
    name: str

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        return self.leg.search(query, k, filters)

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        return self.leg.score(query, ids)


@dataclass
class FakeContext:
    """A `BuildContext`. `chunks` are the live chunks, those of a document in reading order; `run_` answers every `run`."""

    folder: Path
    collection: str
    tokenizer: Tokenizer
    term_weights: WeighsTerms
    chunks: Sequence[BaseNode]
    run_: FakeRun
    legs: Mapping[str, Leg]
    llm: LLM | None = None
    given_embedding: BaseEmbedding | None = None
    scores: ScoreCache = field(default_factory=FakeScores)
    sources: Sequence[Component] = ()

    @property
    def embedding(self) -> BaseEmbedding:
        if self.given_embedding is None:
            from ragkit.testing.models import FakeEmbedding

            self.given_embedding = FakeEmbedding()
        return self.given_embedding

    def build(self, spec: Spec) -> Any:
        return spec.component.build(spec.options, self)

    def link_sources(self, links: Sequence[str], options: Mapping[str, Any]) -> Iterator[LinkedSource]:
        def build(spec: Spec) -> Any:
            folder = self.folder / spec.use
            folder.mkdir(exist_ok=True)
            return spec.component.build(spec.options, replace(self, folder=folder))

        return link_sources(self.sources, links, options, build, lambda link: ComponentError("no source of this test takes it"))

    def leg(self, retriever: Any, name: str) -> Leg:
        return _NamedLeg(retriever, name) if isinstance(retriever, Leg) else _NodesLeg(retriever, name)

    def run(self, query: QueryBundle) -> FakeRun:
        return self.run_

    def rephrase(
        self,
        query: QueryBundle,
        text: str,
        *,
        label: str = "",
        filters: MetadataFilters | None = None,
        embed: Sequence[str] = (),
    ) -> QueryBundle:
        from llama_index.core.schema import QueryBundle

        return QueryBundle(query_str=text, custom_embedding_strs=list(embed) or None)

    def hydrate(self, ids: Sequence[str], scores: Sequence[float] | None = None) -> list[Any]:
        from llama_index.core.schema import NodeWithScore

        known = {node.node_id: node for node in self.chunks}
        pairs = zip(ids, scores if scores is not None else [None] * len(ids), strict=True)
        return [NodeWithScore(node=known[id_], score=score) for id_, score in pairs if id_ in known]

    def nodes(self) -> Iterator[BaseNode]:
        return iter(self.chunks)

    def neighbours(self, chunk_id: str, before: int = 1, after: int = 1) -> list[BaseNode]:
        chunk = self._chunk(chunk_id)
        around = [node for node in self.chunks if node.ref_doc_id == chunk.ref_doc_id]
        place = next(i for i, node in enumerate(around) if node.node_id == chunk_id)
        return around[max(0, place - before) : place + after + 1]

    def parent(self, chunk_id: str) -> BaseNode | None:
        parent = self._chunk(chunk_id).parent_node
        if parent is None:
            return None
        whole = next((node for node in self.chunks if node.node_id == parent.node_id), None)
        children = [node for node in self.chunks if node.parent_node and node.parent_node.node_id == parent.node_id]
        if whole is None:  # the parent of chunks that alone are known, as the host makes it
            whole = self.passage([node.node_id for node in children])
        return None if whole is None else whole.model_copy(update={"id_": parent.node_id, **_children(whole, children)})

    def passage(self, ids: Sequence[str]) -> BaseNode | None:
        from llama_index.core.schema import TextNode

        known = [node for node in self.chunks if isinstance(node, TextNode) and node.node_id in ids]
        if not known:
            return None
        first = next((node for node in known if node.node_id == ids[0]), known[0])
        starts, ends = [node.start_char_idx for node in known], [node.end_char_idx for node in known]
        text = " ".join(node.text for node in known)
        where = {"start_char_idx": min(starts), "end_char_idx": max(ends)} if None not in (*starts, *ends) else {}  # type: ignore[type-var]
        return first.model_copy(update={"text": text, **where})

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]]:
        known = {node.node_id: node for node in self.chunks}
        return {id_: self.embedding.get_text_embedding(known[id_].get_content()) for id_ in ids if id_ in known}

    def fields(self) -> Mapping[str, Sequence[Any]]:
        found: dict[str, list[Any]] = {}
        for node in self.chunks:
            for key, value in node.metadata.items():
                if value not in found.setdefault(key, []):
                    found[key].append(value)
        return found

    def has_field(self, key: str) -> bool:
        return any(key in node.metadata for node in self.chunks)

    def _chunk(self, chunk_id: str) -> BaseNode:
        for node in self.chunks:
            if node.node_id == chunk_id:
                return node
        raise ComponentError(f"the test's context has no chunk {chunk_id!r}", cure="give it to build_context(chunks=[…])")


def _children(whole: BaseNode, children: Sequence[BaseNode]) -> dict[str, Any]:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo

    infos = [RelatedNodeInfo(node_id=node.node_id) for node in children]
    return {"relationships": {**whole.relationships, NodeRelationship.CHILD: infos}}


def build_context(
    folder: Path,
    *,
    collection: str = "ragkit-test",
    chunks: Sequence[BaseNode] = (),
    embedding: BaseEmbedding | None = None,
    tokenizer: Tokenizer | None = None,
    llm: LLM | None = None,
    legs: Mapping[str, Leg] | None = None,
    term_weights: WeighsTerms | None = None,
    run: FakeRun | None = None,
    sources: Sequence[Component] = (),
) -> FakeContext:
    """A context for building one component in a test. What is not given is a fake; `folder` is made if need be.

    `sources` are those that `link_sources` finds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return FakeContext(
        folder=folder,
        collection=collection,
        tokenizer=tokenizer or WordTokenizer(),
        term_weights=term_weights or PlainTerms(),
        chunks=chunks,
        run_=run or FakeRun(),
        legs=legs or {},
        llm=llm,
        given_embedding=embedding,
        sources=sources,
    )
