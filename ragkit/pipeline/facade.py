"""The pipeline: what the CLI, the chat, the API and a Python program hold in their hands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ragkit.config import Config, load
from ragkit.errors import StateError
from ragkit.host import Host
from ragkit.ingest.documents import Rules
from ragkit.ingest.repair import Verification
from ragkit.ingest.report import IngestReport, Progress, silent
from ragkit.pipeline import upkeep
from ragkit.pipeline.caches import clear
from ragkit.pipeline.index import Index, index_exists, nothing_ingested
from ragkit.pipeline.opened import OpenGeneration
from ragkit.pipeline.status import Status
from ragkit.pipeline.uploads import Upload, Uploads
from ragkit.pipeline.watching import changes, watched
from ragkit.query.answer import Answer
from ragkit.query.run import check_question
from ragkit.query.search import SearchResult, Wanted
from ragkit.query.threads import in_a_thread
from ragkit.state.conversations import Conversations
from ragkit.state.reader import Reader

if TYPE_CHECKING:
    from llama_index.core.query_engine import RetrieverQueryEngine


class Pipeline:
    """A configuration at work: ingests, searches and answers. Threads may share it; close it, or use it in a `with` block.

    Every method raises a `RagkitError` that says what to do; see `ragkit.errors`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._made: Index | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_yaml(
        cls,
        path: str | Path = "ragkit.yaml",
        *,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        host: Host | None = None,
    ) -> Self:
        """Load a YAML file. `overrides` are `key.path=value`, as with `--set`; `host` defaults to the installed plugins."""
        return cls(load(Path(path), host or Host(), overrides=overrides, environ=environ))

    def close(self) -> None:
        """Close stores and databases and let other processes in."""
        if self._made is not None:
            self._made.close()

    @property
    def _index(self) -> Index:
        """The index, opened or made when it is first needed."""
        with self._lock:
            if self._made is None:
                self._made = Index(self.config)
            return self._made

    def _require_index(self) -> None:
        """Raise `MismatchError` where there is no state, which a question must not make. A database that is open is not asked."""
        if (self._made is None or self.config.local is None) and not index_exists(self.config):
            raise nothing_ingested(self.config)

    @contextmanager
    def _asked(self, question: str) -> Iterator[OpenGeneration]:
        """The open index for a question, which is checked first. A question makes no state where there is none."""
        check_question(question)
        self._require_index()
        with self._index.reading() as opened:
            yield opened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def ingest(
        self,
        *,
        progress: Progress = silent,
        only: Sequence[str] = (),
        limit: int | None = None,
        allow_removals: bool = False,
        rehash: bool = False,
        dry_run: bool = False,
        views_only: bool = False,
    ) -> IngestReport:
        """Bring the ledger and both views up to date with the sources; running it again repairs whatever was interrupted.

        `only` takes the sources of these names and `limit` that many documents of each; both remove nothing. `allow_removals`
        removes what a listing that shrank by more than half has lost. `rehash` reads every document, whatever its stamp
        says. `dry_run` only counts. `views_only` touches no source.
        """
        rules = Rules(tuple(only), limit, allow_removals, rehash, dry_run)
        return self._index.ingest(rules, progress, views_only=views_only)

    def search(self, question: str, **wanted: Any) -> SearchResult:
        """The best chunks for a question, with the trace. Keywords, all of them optional:

        - `k`: how many hits (default: the configuration's `top_k`).
        - `filters`: what hits have to satisfy beside the configuration's `filter`: a text such as
          `"year >= 2020 and category in [article, post]"`, or LlamaIndex's `MetadataFilters`.
        - `retriever`: `"dense"` or `"keyword"`, to ask one leg in place of the configured retriever.
        - `rerankers`: the names of those to ask; `[]` asks none.
        - `history`: what was said before, as `Exchange`s, oldest first. Where there is an LLM, a follow-up question is written
          anew with them.
        - anything else overrides an option of the retriever for this query, such as `alpha=0.3`.
        """
        with self._asked(question) as opened:
            return opened.searcher.search(question, **_wanted(wanted))

    def ask(self, question: str, **wanted: Any) -> Answer:
        """An answer with citations, or one that says that the documents do not answer. Keywords as for `search`."""
        with self._asked(question) as opened:
            return opened.answerer.ask(question, **_wanted(wanted))

    async def aask(self, question: str, **wanted: Any) -> Answer:
        """As `ask`, without blocking the event loop."""
        return await asyncio.to_thread(self.ask, question, **wanted)

    def stream(self, question: str, **wanted: Any) -> Generator[str | Answer, None, None]:
        """The answer's text in pieces as it is written, and last the whole `Answer`. Keywords as for `search`."""
        with self._asked(question) as opened:
            yield from opened.answerer.stream(question, **_wanted(wanted))

    async def astream(self, question: str, **wanted: Any) -> AsyncGenerator[str | Answer, None]:
        """As `stream`, without blocking the event loop. Closing it (`aclose`) ends the work after the piece that it is at."""
        async with aclosing(in_a_thread(lambda: self.stream(question, **wanted))) as pieces:
            async for piece in pieces:
                yield piece

    async def asearch(self, question: str, **wanted: Any) -> SearchResult:
        """As `search`, without blocking the event loop."""
        return await asyncio.to_thread(self.search, question, **wanted)

    def upload(self, name: str, content: bytes, *, progress: Progress = silent) -> Upload:
        """Keep a file in the source `uploads`, in place of one of that name, and make it answerable at once.

        A long ingest that goes on meanwhile is not waited for. Raises `DocumentError` for a file that is refused.
        """
        return Uploads(self._index).put(name, content, progress)

    def remove_upload(self, document_id: str, *, progress: Progress = silent) -> str:
        """Take an upload back; returns its name.

        Raises `UnknownDocumentError`, and `ForeignDocumentError` for what another source owns.
        """
        return Uploads(self._index).remove(document_id, progress)

    def has_upload(self, name: str, content: bytes | None = None) -> bool:
        """Whether a file of that name was uploaded; with `content`, whether it was this one."""
        return Uploads(self._index).has(name, content)

    @property
    def query_settings(self) -> frozenset[str]:
        """What a question may override of the configured retriever and rerankers, such as `alpha`."""
        self._require_index()
        with self._index.reading() as opened:
            return opened.searcher.settings

    @property
    def conversations(self) -> Conversations:
        """What people asked and were told, each for themselves; see `ragkit.state.conversations`."""
        return self._index.conversations

    def query_engine(self) -> RetrieverQueryEngine:
        """A LlamaIndex query engine over this pipeline. It follows generations as `search` does."""
        from llama_index.core.query_engine import RetrieverQueryEngine

        from ragkit.pipeline.engine import PipelineRetriever

        with self._index.reading() as opened:
            return RetrieverQueryEngine(PipelineRetriever(self), response_synthesizer=opened.synthesizer)

    @property
    def embedding_name(self) -> str:
        """The model's name, or the component's where it has none."""
        return str(getattr(self.config.embedding.options, "model", None) or self.config.embedding.use)

    def embed(self, texts: Sequence[str], *, queries: bool = False) -> tuple[list[list[float]], int]:
        """A vector for each text, and how many tokens the model has read for them. Nothing of them is kept but questions.

        With `queries` the texts are embedded as questions are.
        """
        embedding, tokenizer = self._index.wiring.embedding, self._index.wiring.tokenizer
        vectors = embedding.questions(texts) if queries else embedding.fresh(texts)
        limit = tokenizer.max_tokens
        counts = [count + tokenizer.special_tokens for count in tokenizer.count(list(texts))]
        return vectors, sum(count if limit is None else min(count, limit) for count in counts)

    def warm(self) -> None:
        """Open the index and load the embedding model, so that the first question does not wait for them."""
        with self.reader():
            self._index.wiring.embedding.fresh(["warm"])

    def cache_hits(self) -> dict[str, int]:
        """How many vectors each layer of the embedding cache gave in this process, and how many none had (`misses`)."""
        return dict(self._index.cache.hits)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """What the live index holds, read from the ledger: a generation's documents and chunks, kept for a `with` block."""
        with self._index.reading() as opened:
            yield opened.reader

    @contextmanager
    def without_query_cache(self) -> Iterator[None]:
        """Within the block every question is embedded anew, as one that nobody asked before: for measuring."""
        embedding = self._index.wiring.embedding
        embedding.keeps_queries, before = False, embedding.keeps_queries
        try:
            yield
        finally:
            embedding.keeps_queries = before

    def status(self) -> Status:
        """How the index stands, without changing anything."""
        return upkeep.status(self._index)

    def changes(self, only: Sequence[str] = ()) -> Iterator[None]:
        """Comes whenever something changes in the files of the sources (with `only`, of those), until Ctrl-C."""
        return changes(watched(self.config, only), self.config.local or self.config.state)

    def runs(self, limit: int = 20) -> list[dict[str, Any]]:
        """The last ingests, newest first: `id`, `started` and `finished` (seconds since the epoch), `status`, `report`."""
        return self._index.ledger.runs(limit)

    def run(self, number: int) -> dict[str, Any]:
        """An ingest by its number. Raises `StateError` for one that there is none of."""
        found = self._index.ledger.run(number)
        if found is None:
            raise StateError(f"there is no run {number}", cure="`ragkit runs` lists them")
        return found

    def caches(self) -> dict[str, Any]:
        """What is kept of vectors and of rerankers' scores, layer by layer, and how often it helped."""
        return {"vectors": self._index.cache.statistics(), "scores": self._index.scores.statistics()}

    def clear_caches(self, *, everything: bool = False) -> dict[str, int]:
        """Forget scores and the vectors that no chunk needs; with `everything`, those of living chunks too. Returns how many."""
        index = self._index
        return clear(index.cache, index.scores, index.ledger, everything=everything)

    def verify_views(self) -> list[Verification]:
        """Compare every id in the ledger with every id in both stores of the live generation."""
        return upkeep.verify_views(self._index)

    def repair_views(self, *, progress: Progress = silent) -> list[Verification]:
        """Make both stores of the live generation hold exactly what the ledger says; embeds only what the cache has lost."""
        return upkeep.repair_views(self._index, progress)

    def drop_views(self) -> list[str]:
        """Remove the generations that do not answer; returns a sentence for each that had to stay."""
        return upkeep.drop_views(self._index)


def _wanted(keywords: Mapping[str, Any]) -> Wanted:
    """What a query may say beside its question; what is no keyword of `Wanted` is a setting."""
    named = {name: value for name, value in keywords.items() if name in Wanted.__annotations__ and name != "settings"}
    return cast("Wanted", {**named, "settings": {name: value for name, value in keywords.items() if name not in named}})
