"""What happened to one query: per stage its time and counts, per chunk its score and rank at every stage.

`Trace` is the frozen record that the CLI, Python, the evaluation and the chat read. `Recorder` collects it while the
query runs; threads may share one. Times are in milliseconds.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "skipped", "degraded"]


@dataclass(frozen=True)
class StageRecord:
    """One stage: how many chunks it was handed (`entered`), how many it gave on (`out`), and how it went."""

    name: str
    ms: float
    entered: int
    out: int
    status: Status
    detail: str
    spans: tuple[tuple[float, float], ...] = ()
    """When it was at work, from and to, in milliseconds from the beginning of the query; several times for one entered again."""

    def to_dict(self) -> dict[str, Any]:
        """As in the `trace` of `ragkit search --json`."""
        return {
            "name": self.name, "ms": round(self.ms, 3), "in": self.entered, "out": self.out, "status": self.status,
            "detail": self.detail,
        }  # fmt: skip


@dataclass(frozen=True)
class Trace:
    """A query from beginning to end.

    `scores` and `ranks` are keyed by stage, then by chunk id; ranks count from 1, and a chunk that a stage scored without
    having found it has no rank there. `dropped` says why a chunk that some stage found is not among the hits.
    """

    total_ms: float
    generation: int
    stages: tuple[StageRecord, ...] = ()
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ranks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def degraded(self) -> bool:
        """Whether some stage did less than it should have."""
        return any(stage.status == "degraded" for stage in self.stages)

    @property
    def accounted_ms(self) -> float:
        """The time in which some stage was at work; what was done side by side counts once."""
        accounted, reached = 0.0, 0.0
        for began, ended in sorted(span for stage in self.stages for span in stage.spans):
            accounted += max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        return accounted

    def scores_of(self, chunk_id: str) -> dict[str, float]:
        """The chunk's score at each stage that scored it."""
        return {stage: scores[chunk_id] for stage, scores in self.scores.items() if chunk_id in scores}

    def ranks_of(self, chunk_id: str) -> dict[str, int]:
        """The chunk's rank at each stage that ranked it."""
        return {stage: ranks[chunk_id] for stage, ranks in self.ranks.items() if chunk_id in ranks}

    def to_dict(self) -> dict[str, Any]:
        """The `trace` of `ragkit search --json`."""
        stages = [stage.to_dict() for stage in self.stages]
        told = {"total_ms": round(self.total_ms, 3), "generation": self.generation, "stages": stages}
        return {**told, "dropped": dict(self.dropped)}


@dataclass
class StageRecorder:
    """One stage while it runs; see `ragkit.components.Stage`. `dropped` has the chunks that go no further, and why."""

    name: str
    ms: float = 0.0
    entered: int = 0
    out: int = 0
    status: Status = "ok"
    details: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def hits(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        self.scored(ids, scores)
        self.ranks = {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)}
        self.out = len(ids)

    def scored(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        # NaN is no score
        self.scores.update(pair for pair in zip(ids, scores, strict=True) if not math.isnan(pair[1]))

    def note(self, detail: str) -> None:
        if detail not in self.details:
            self.details.append(detail)

    def degraded(self, detail: str) -> None:
        self.status = "degraded"
        self.note(detail)

    def skipped(self, detail: str) -> None:
        if self.status == "ok":
            self.status = "skipped"
        self.note(detail)

    def record(self) -> StageRecord:
        return StageRecord(self.name, self.ms, self.entered, self.out, self.status, "; ".join(self.details), tuple(self.spans))


class Recorder:
    """Collects the stages of one query in the order in which they began."""

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self._began = time.perf_counter()
        self._stages: dict[str, StageRecorder] = {}
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str, entered: int = 0) -> Iterator[StageRecorder]:
        """Time the stage `name`; an error that leaves it is written down and goes on.

        A stage entered again goes on with its record: a leg that searches, and later scores what the other leg found, is
        one stage.
        """
        with self._lock:
            stage = self._stages.setdefault(name, StageRecorder(name))
        began = time.perf_counter()
        try:
            yield stage
        except BaseException as error:
            stage.degraded(describe(error))
            raise
        finally:
            ended = time.perf_counter()
            stage.ms += (ended - began) * 1000
            stage.spans.append(((began - self._began) * 1000, (ended - self._began) * 1000))
            stage.entered += entered

    def score_of(self, stage: str, chunk_id: str) -> float | None:
        """The chunk's score at a stage so far, or None."""
        with self._lock:
            found = self._stages.get(stage)
        return None if found is None else found.scores.get(chunk_id)

    def trace(self) -> Trace:
        """Everything so far, frozen."""
        with self._lock:
            stages = list(self._stages.values())
        return Trace(
            total_ms=(time.perf_counter() - self._began) * 1000,
            generation=self.generation,
            stages=tuple(stage.record() for stage in stages),
            scores={stage.name: dict(stage.scores) for stage in stages if stage.scores},
            ranks={stage.name: dict(stage.ranks) for stage in stages if stage.ranks},
            dropped={chunk_id: why for stage in stages for chunk_id, why in stage.dropped.items()},
        )


class LabelledRecorder(Recorder):
    """Records the stages of a question that was asked on the way, into the trace of the one that a person asked."""

    def __init__(self, recorder: Recorder, label: str) -> None:
        super().__init__(recorder.generation)
        self._recorder = recorder
        self._label = label

    def stage(self, name: str, entered: int = 0) -> AbstractContextManager[StageRecorder]:  # type: ignore[override]
        """The stage `label.name`."""
        return self._recorder.stage(f"{self._label}.{name}", entered)

    def score_of(self, stage: str, chunk_id: str) -> float | None:
        """The chunk's score at the stage `label.stage`."""
        return self._recorder.score_of(f"{self._label}.{stage}", chunk_id)

    def trace(self) -> Trace:
        """The whole trace."""
        return self._recorder.trace()


def describe(error: BaseException) -> str:
    """An error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
