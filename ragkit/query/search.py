"""A question to hits: retriever, rerankers, and what each did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from llama_index.core.schema import NodeWithScore

from ragkit.errors import QueryError
from ragkit.filters import as_llama, joined, matcher
from ragkit.query.adapters import known_hits
from ragkit.query.followup import Exchange, check_history, standalone
from ragkit.query.hydrate import ChunkNode, hydrate
from ragkit.query.nothing import why_nothing
from ragkit.query.reranking import RerankStage
from ragkit.query.run import QueryRun, Question, with_top_k
from ragkit.query.trace import Recorder, Trace

if TYPE_CHECKING:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.llms import LLM
    from llama_index.core.vector_stores.types import MetadataFilters

    from ragkit.filters.llama import AnyFilters
    from ragkit.state.reader import Reader


class Wanted(TypedDict, total=False):
    """What a query may say beside its question.

    `k` is how many hits (1 to 1,000), `filters` what they must satisfy (in LlamaIndex's form or in ragkit's language),
    `settings` override what the retriever or a reranker lets a query override, such as `{"alpha": 0.3}`. `retriever` names a
    leg (`dense` or `keyword`) that is asked alone in place of the configured retriever, `rerankers` those that are asked: an
    empty list asks none, None all. `history` is what was said before, which an LLM reads a follow-up question with.
    """

    k: int | None
    filters: AnyFilters | None
    settings: Mapping[str, Any] | None
    retriever: str | None
    rerankers: Sequence[str] | None
    history: Sequence[Exchange]


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. `scores` and `ranks` are keyed by leg and stage; `score` is that of the last stage."""

    rank: int
    chunk_id: str
    document_id: str
    source: str
    uri: str
    text: str
    score: float
    scores: Mapping[str, float]
    ranks: Mapping[str, int]
    metadata: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As in the `hits` of `ragkit search --json`."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class SearchResult:
    """What a search gives: LlamaIndex nodes best first, and the trace."""

    query: str
    nodes: tuple[NodeWithScore, ...]
    trace: Trace

    @property
    def hits(self) -> tuple[Hit, ...]:
        """The nodes as plain records."""
        return tuple(self._hit(rank, item) for rank, item in enumerate(self.nodes, 1))

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit search --json`."""
        return {"query": self.query, "hits": [hit.to_dict() for hit in self.hits], "trace": self.trace.to_dict()}

    def _hit(self, rank: int, item: NodeWithScore) -> Hit:
        node, metadata = item.node, dict(item.node.metadata)
        return Hit(
            rank=rank, chunk_id=node.node_id, document_id=node.ref_doc_id or "", source=str(metadata.pop("source", "")),
            uri=str(metadata.pop("uri", "")), text=node.get_content(), score=float(item.score or 0.0),
            scores=self.trace.scores_of(node.node_id), ranks=self.trace.ranks_of(node.node_id), metadata=metadata,
        )  # fmt: skip


class Searcher:
    """Runs questions over one generation. Threads may share it.

    `always` is what hits must satisfy whatever a query asks, `alone` the retrievers that a query may ask in place of the
    configured one, `llm` gives the model that reads follow-up questions with the conversation.
    """

    def __init__(
        self, reader: Reader, retriever: BaseRetriever, rerankers: Sequence[RerankStage], top_k: int,
        *, always: MetadataFilters | None = None, alone: Mapping[str, BaseRetriever] | None = None,
        llm: Callable[[], LLM | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._retriever = retriever
        self._rerankers = tuple(rerankers)
        self._top_k = top_k
        self._always = always
        self._alone = dict(alone or {})
        self._llm = llm

    def search(self, question: str, **wanted: Unpack[Wanted]) -> SearchResult:
        """The best chunks. Raises `QueryError` for a question, k, filter or setting that is wrong."""
        asked = self.question(question, **wanted)
        nodes = self.nodes(asked)
        return SearchResult(question, tuple(nodes), asked.run.recorder.trace())

    @property
    def settings(self) -> frozenset[str]:
        """Which settings the configured retriever and the rerankers let a query override."""
        return self._settings(self._retriever, self._rerankers)

    async def asearch(self, question: str, **wanted: Unpack[Wanted]) -> SearchResult:
        """As `search`, in a thread of its own."""
        return await asyncio.to_thread(self.search, question, **wanted)

    def question(self, text: str, **wanted: Unpack[Wanted]) -> Question:
        """A question that carries its run; `nodes` answers it. A setting that is None is not set."""
        settings = {name: value for name, value in (wanted.get("settings") or {}).items() if value is not None}
        name, rerankers = wanted.get("retriever"), wanted.get("rerankers")
        known = sorted(self._settings(self._asked(name), self._stages(rerankers)))
        for setting in sorted(settings.keys() - set(known)):
            options = f"this query takes: {', '.join(known)}" if known else "this query takes no settings"
            raise QueryError(f"the setting {setting!r} is not known to the retriever or a reranker", cure=options)
        k = wanted.get("k")
        filters = joined(self._always, as_llama(wanted.get("filters")))
        recorder = Recorder(self._reader.generation)
        chosen = None if rerankers is None else tuple(rerankers)
        run = QueryRun(text, self._top_k if k is None else k, filters, settings, recorder, retriever=name, rerankers=chosen)
        return Question(self._by_itself(run, wanted.get("history") or ()))

    def nodes(self, question: Question) -> list[NodeWithScore]:
        """Retrieve and rerank."""
        wanted, rerankers = question.run.top_k, self._stages(question.run.rerankers)
        fetched = with_top_k(question, max(wanted, rerankers[0].wanted)) if rerankers else question
        nodes = self._adopt(self._asked(question.run.retriever).retrieve(fetched), question.run)
        question.embedding = fetched.embedding
        for rerank in rerankers:
            nodes = rerank(nodes, question)
        if not nodes and question.run.filters is not None and (reasons := why_nothing(self._reader, question.run.filters)):
            with question.run.stage("filter") as stage:
                for reason in reasons:
                    stage.note(reason)
        return nodes[:wanted]

    def _by_itself(self, run: QueryRun, history: Sequence[Exchange]) -> QueryRun:
        """The run of a question that is understood without what was said before."""
        check_history(history)
        if not history:
            return run
        with run.stage("follow-up", entered=len(history)) as stage:
            if (llm := self._llm()) is None:
                stage.skipped("no language model is configured that reads the conversation; the question is asked as it is")
                return run
            return replace(run, text=standalone(llm, run.text, history, stage))

    @staticmethod
    def _settings(retriever: BaseRetriever, rerankers: Sequence[RerankStage]) -> frozenset[str]:
        parts = [retriever, *(stage.reranker for stage in rerankers)]
        return frozenset(setting for part in parts for setting in getattr(part, "query_settings", ()))

    def _asked(self, name: str | None) -> BaseRetriever:
        """The configured retriever, or the leg that a query asks alone."""
        if name is None:
            return self._retriever
        if name not in self._alone:
            raise QueryError(f"there is no retriever {name!r} to ask alone", cure=f"choose one of: {', '.join(self._alone)}")
        return self._alone[name]

    def _stages(self, names: Sequence[str] | None) -> tuple[RerankStage, ...]:
        """The rerankers of these names in their order, or all."""
        known = [stage.name for stage in self._rerankers]
        for name in names or ():
            if name not in known:
                cure = f"the configuration names: {', '.join(known)}" if known else "the configuration names none"
                raise QueryError(f"there is no reranker {name!r}", cure=cure)
        return tuple(stage for stage in self._rerankers if names is None or stage.name in names)

    def _adopt(self, nodes: list[NodeWithScore], run: QueryRun) -> list[NodeWithScore]:
        """The nodes of a retriever that knows nothing of the ledger are replaced by the ledger's.

        Of a retriever that pays no heed to the filter, what does not satisfy it is dropped.
        """
        if all(isinstance(item.node, ChunkNode) for item in nodes):
            satisfies = matcher(run.filters)
            if all(satisfies(item.node.metadata) for item in nodes):
                return nodes
        with run.stage("retriever", entered=len(nodes)) as stage:
            ids, scores = known_hits(self._reader, nodes, run.filters, stage, run.top_k)
            stage.hits(ids, scores)
            return hydrate(self._reader, ids, scores)
