"""An open generation: its views, what asks them, and the lease that keeps it while anybody reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from ragkit.components import Kind, Leg, WeighsTerms
from ragkit.filters import as_llama
from ragkit.ingest.apply import apply
from ragkit.ingest.report import silent
from ragkit.pipeline.context import Offered, StoreTerms
from ragkit.pipeline.pool import ViewPool
from ragkit.pipeline.wiring import Wiring
from ragkit.query.answer import Answerer
from ragkit.query.legs import DenseLeg, KeywordLeg
from ragkit.query.reranking import RerankStage
from ragkit.query.search import Searcher
from ragkit.state.generations import Generations
from ragkit.state.ledger import Ledger
from ragkit.state.reader import Reader
from ragkit.state.records import GenerationRecord
from ragkit.words import PlainTerms

if TYPE_CHECKING:
    from llama_index.core.response_synthesizers import BaseSynthesizer

_DRAIN_S = 10.0


class OpenGeneration:
    """The parts that answer from one generation. Queries pin it; it closes when the last one has let go."""

    def __init__(
        self, ledger: Ledger, generations: Generations, record: GenerationRecord, wiring: Wiring, pool: ViewPool
    ) -> None:
        """Take the lease and open both views.

        Raises `DriftedError`, `LockedError` or `OwnershipError` where a view must not answer.
        """
        self.record = record
        self._lease = generations.lease(record)
        self._lease.acquire(shared=True, timeout_s=2.0)
        self._lock = threading.Lock()
        self._pins = 0
        self._retired = False
        self._pool = pool
        self.vector = pool.take(record.vector)
        self.keyword = pool.take(record.keyword)
        self.reader = Reader(ledger, record)
        try:
            self._steps = [
                partial(apply, ledger, generations, view, model, silent)
                for view, model in ((self.vector, wiring.embedding), (self.keyword, None))
                if view.is_own
            ]
            self.catch_up()
            for view in (self.vector, self.keyword):
                view.require_sound()
            self._wire(wiring)
        except BaseException:
            self._close()
            raise

    @property
    def has_copies(self) -> bool:
        """Whether this machine has copies of its own, which it has to bring up to date itself."""
        return bool(self._steps)

    def catch_up(self) -> bool:
        """Bring this machine's copies up to date; whether there was anything to do."""
        return sum(step() for step in self._steps) > 0

    def _wire(self, wiring: Wiring) -> None:
        config = wiring.config
        metric = str(getattr(config.vector_store.options, "metric", "cosine"))
        dense = DenseLeg(self.vector.store, wiring.embedding, self.reader, metric=metric, known=wiring.embedding.known)
        legs: dict[str, Leg] = {dense.name: dense, "keyword": KeywordLeg(self.keyword.store, self.reader)}
        offered = Offered(self.reader, StoreTerms(self._weigher), config.top_k, legs, dense.vectors)
        retriever = wiring.build(config.retriever, offered=offered)
        rerankers = [RerankStage.of(spec, wiring.build(spec, offered=offered)) for spec in config.rerankers]
        self.synthesizer: BaseSynthesizer = wiring.build(config.answer, offered=offered)
        # the answerer reads the dense scores on the model's own scale, which is one of cosines
        model = wiring.embedding if metric == "cosine" else None
        alone = {spec.use: wiring.build(spec, offered=offered) for spec in wiring.plain(Kind.RETRIEVER, legs)}
        self.searcher = Searcher(
            self.reader, retriever, rerankers, config.top_k, always=as_llama(config.filter), alone=alone, llm=lambda: wiring.llm
        )
        self.answerer = Answerer(self.searcher, self.synthesizer, self.reader, offered.term_weights, model)

    @contextmanager
    def pinned(self) -> Iterator[OpenGeneration]:
        """Keep the generation open for a `with` block."""
        with self._lock:
            self._pins += 1
        try:
            yield self
        finally:
            with self._lock:
                self._pins -= 1
                last = self._retired and not self._pins
            if last:
                self._close()

    def retire(self, *, drain: bool = False) -> None:
        """Close as soon as nobody asks any more; with `drain`, wait for that, but not for ever."""
        with self._lock:
            self._retired = True
            idle = not self._pins
        if idle:
            self._close()
        deadline = time.monotonic() + _DRAIN_S
        while drain and self._pins and time.monotonic() < deadline:
            time.sleep(0.01)

    def _weigher(self) -> WeighsTerms:
        store = self.keyword.store.store
        return store if isinstance(store, WeighsTerms) else PlainTerms()

    def _close(self) -> None:
        self._pool.give_back(self.vector)
        self._pool.give_back(self.keyword)
        self._lease.release()
