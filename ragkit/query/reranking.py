"""One reranker at its place: what it is handed, what it may leave and how long it may take."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llama_index.core.schema import NodeWithScore

from ragkit.components import EstimatesTime, Prepares, Spec
from ragkit.errors import QueryError
from ragkit.filters import matcher
from ragkit.query.adapters import scores_or_ranks
from ragkit.query.run import Question, within
from ragkit.query.trace import StageRecorder, describe

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor

RERANKED_CANDIDATES = 50
"""How many hits a reranker gets at least that does not say how many it looks at."""

_TRIED_AGAIN_AFTER_S = 60.0


class _OverBudget(Exception):
    """The stage would take longer than it may, or did."""


@dataclass
class _Pace:
    """How long a reranker took per hit, for those that cannot tell beforehand."""

    ms_per_hit: float | None = None
    measured_at: float = 0.0

    def expected_ms(self, hits: int) -> float | None:
        """None where nothing is known, or what is known is old: then it is tried again."""
        if self.ms_per_hit is None or time.monotonic() - self.measured_at > _TRIED_AGAIN_AFTER_S:
            return None
        return self.ms_per_hit * hits

    def learn(self, ms: float, hits: int) -> None:
        self.ms_per_hit, self.measured_at = ms / max(hits, 1), time.monotonic()


@dataclass
class RerankStage:
    """A reranker called `name`. Threads may share it.

    It looks at the best `candidates` hits (None: all), and `top_n` are left after it (None: all). A question for which it
    would take longer than `budget_ms` goes on without it: where that is known beforehand it is not asked; where it turns out,
    it is not waited for. In each case, and where it fails, the order stays as it was and the trace says why.
    """

    name: str
    reranker: BaseNodePostprocessor
    candidates: int | None = None
    top_n: int | None = None
    budget_ms: int | None = None
    _pace: _Pace = field(default_factory=_Pace)
    _left: Future[list[NodeWithScore]] | None = None
    _loading: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, spec: Spec, reranker: BaseNodePostprocessor) -> RerankStage:
        """With what the options say of it."""
        candidates, top_n, budget_ms = (getattr(spec.options, key, None) for key in ("candidates", "top_n", "budget_ms"))
        return cls(spec.name or spec.use, reranker, candidates, top_n, budget_ms)

    @property
    def wanted(self) -> int:
        """How many hits it should be handed."""
        return self.candidates or RERANKED_CANDIDATES

    def __call__(self, nodes: Sequence[NodeWithScore], question: Question) -> list[NodeWithScore]:
        """Rerank; raises `QueryError` alone."""
        looked_at, rest = list(nodes[: self.candidates]), list(nodes[self.candidates :] if self.candidates else ())
        with question.run.stage(self.name, entered=len(nodes)) as stage:
            if not looked_at:
                stage.skipped("nothing to rerank")
                return []
            reranked = self._asked(looked_at, question, stage)
            left = [*(looked_at if reranked is None else reranked), *rest][: self.top_n]
            stays = {item.node.node_id for item in left}
            stage.dropped.update({item.node.node_id: self.name for item in nodes if item.node.node_id not in stays})
            if reranked is None:
                stage.out = len(left)
            else:
                shown = [item for item in reranked if item.node.node_id in stays]
                stage.hits([item.node.node_id for item in shown], scores_or_ranks(shown))
                stage.out = len(left)
            return left

    def _asked(self, nodes: list[NodeWithScore], question: Question, stage: StageRecorder) -> list[NodeWithScore] | None:
        """What the reranker makes of the nodes, or None where it has nothing to say."""
        try:
            reranked = self._within_budget(nodes, within(question, stage), stage)
        except QueryError:
            raise
        except _OverBudget as over:
            stage.skipped(str(over))
            return None
        except Exception as error:  # noqa: BLE001 - any model or service may fail; the hits are there without it
            stage.degraded(f"left out: {describe(error)}")
            return None
        if any(item.score is not None and not math.isfinite(item.score) for item in reranked):
            stage.degraded("left out: it gave a score that is no number")
            return None
        entered, satisfies = {item.node.node_id for item in nodes}, matcher(question.run.filters)
        allowed = [item for item in reranked if item.node.node_id in entered or satisfies(item.node.metadata)]
        if len(allowed) < len(reranked):
            stage.degraded(f"{len(reranked) - len(allowed)} that it added do not satisfy the filter and are left out")
        return allowed

    def _within_budget(self, nodes: list[NodeWithScore], question: Question, stage: StageRecorder) -> list[NodeWithScore]:
        copies = [NodeWithScore(node=item.node, score=item.score) for item in nodes]

        def ask() -> list[NodeWithScore]:
            return list(self.reranker.postprocess_nodes(copies, query_bundle=question))

        if self.budget_ms is None:
            return ask()
        estimates = self.reranker.estimate_ms(question, copies) if isinstance(self.reranker, EstimatesTime) else None
        if estimates != 0:  # otherwise it knows its answer already, and needs nothing for it
            self._check_time(estimates, question, copies, stage)
        began = time.perf_counter()
        waiting = _in_a_thread(ask, f"ragkit-{self.name}")
        try:
            reranked = waiting.result(timeout=self.budget_ms / 1000)
        except TimeoutError:
            if waiting.done():  # its own error
                raise
            self._left = waiting
            self._pace.learn(self.budget_ms * 1.01, len(copies))
            raise _OverBudget(f"it took longer than its budget of {self.budget_ms} ms") from None
        self._pace.learn((time.perf_counter() - began) * 1000, len(copies))
        return reranked

    def _check_time(self, estimates: float | None, question: Question, nodes: list[NodeWithScore], stage: StageRecorder) -> None:
        """Let the reranker load, and raise `_OverBudget` where it would take too long or has no time."""
        if self._left is not None and not self._left.done():
            raise _OverBudget("it is still busy with an earlier question that it had no time for")
        self._prepare(stage)
        if estimates is None and isinstance(self.reranker, EstimatesTime):  # some can tell only when they are loaded
            estimates = self.reranker.estimate_ms(question, nodes)
        expected = self._pace.expected_ms(len(nodes)) if estimates is None else estimates
        if self.budget_ms is not None and expected is not None and expected > self.budget_ms:
            raise _OverBudget(f"it would take about {expected:.0f} ms, and its budget is {self.budget_ms} ms")

    def _prepare(self, stage: StageRecorder) -> None:
        """Let it load; that is no part of its budget, but told where it took long."""
        if not isinstance(self.reranker, Prepares):
            return
        began = time.perf_counter()
        with self._loading:
            self.reranker.prepare()
        took = time.perf_counter() - began
        if took > 0.1:
            stage.note(f"loaded in {took:.1f} s")


def _in_a_thread(work: Callable[[], list[NodeWithScore]], name: str) -> Future[list[NodeWithScore]]:
    """The result of `work`, done in a thread that ends with the process if it has to."""
    future: Future[list[NodeWithScore]] = Future()
    context = copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
