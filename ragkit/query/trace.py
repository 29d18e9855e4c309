"""What happened to one query: per stage its time and counts, per chunk its score and rank at every stage.

`Trace` is the frozen record that the CLI, Python, the evaluation and the chat read. `Recorder` collects it while the
query runs; threads may share one. Times are in milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
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

    def to_dict(self) -> dict[str, Any]:
        """As in the `trace` of `ragkit search --json`."""
        return {
            "name": self.name,
            "ms": round(self.ms, 3),
            "in": self.entered,
            "out": self.out,
            "status": self.status,
            "detail": self.detail,
        }


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

    def scores_of(self, chunk_id: str) -> dict[str, float]:
        """The chunk's score at each stage that scored it."""
        return {stage: scores[chunk_id] for stage, scores in self.scores.items() if chunk_id in scores}

    def ranks_of(self, chunk_id: str) -> dict[str, int]:
        """The chunk's rank at each stage that ranked it."""
        return {stage: ranks[chunk_id] for stage, ranks in self.ranks.items() if chunk_id in ranks}

    def to_dict(self) -> dict[str, Any]:
        """The `trace` of `ragkit search --json`."""
        stages = [stage.to_dict() for stage in self.stages]
        return {"total_ms": round(self.total_ms, 3), "generation": self.generation, "stages": stages}


class StageRecorder:
    """One stage while it runs; see `ragkit.components.Stage`. A context manager that may be entered again.

    Entering a stage again goes on with its record: times and counts add up, so a leg that searches and later scores
    the other leg's candidates is one stage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.scores: dict[str, float] = {}
        self.ranks: dict[str, int] = {}
        self.dropped: dict[str, str] = {}
        self._entered = 0
        self._out = 0
        self._ms = 0.0
        self._status: Status = "ok"
        self._details: list[str] = []

    def hits(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """What came out, best first."""
        self.scores.update(zip(ids, scores, strict=True))
        self.ranks = {chunk_id: rank for rank, chunk_id in enumerate(ids, 1)}
        self._out = len(ids)

    def scored(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """Scores of hits that this stage did not find itself."""
        self.scores.update(zip(ids, scores, strict=True))

    def produced(self, count: int) -> None:
        """How much came out of a stage that makes something other than hits."""
        self._out = count

    def drop(self, ids: Sequence[str], reason: str) -> None:
        """Hits that go no further, and why."""
        self.dropped.update(dict.fromkeys(ids, reason))

    def note(self, detail: str) -> None:
        """Something worth knowing that went well."""
        if detail not in self._details:
            self._details.append(detail)

    def degraded(self, detail: str) -> None:
        """The stage did less than it should have."""
        self._status = "degraded"
        self.note(detail)

    def skipped(self, detail: str) -> None:
        """The stage did nothing."""
        if self._status == "ok":
            self._status = "skipped"
        self.note(detail)

    def add(self, ms: float, entered: int) -> None:
        """Count one more passage through the stage."""
        self._ms += ms
        self._entered += entered

    def record(self) -> StageRecord:
        """The stage as it stands now."""
        return StageRecord(self.name, self._ms, self._entered, self._out, self._status, "; ".join(self._details))


class _Passage:
    """Times one passage through a stage; an error that leaves it is written down and goes on."""

    def __init__(self, stage: StageRecorder, entered: int) -> None:
        self._stage = stage
        self._entered = entered
        self._began = 0.0

    def __enter__(self) -> StageRecorder:
        self._began = time.perf_counter()
        return self._stage

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stage.add((time.perf_counter() - self._began) * 1000, self._entered)
        if error is not None:
            self._stage.degraded(describe(error))


class Recorder:
    """Collects the stages of one query in the order in which they began."""

    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self._began = time.perf_counter()
        self._stages: dict[str, StageRecorder] = {}
        self._lock = threading.Lock()

    def stage(self, name: str, entered: int = 0) -> _Passage:
        """A context manager that times the stage `name` and gives its `StageRecorder`."""
        with self._lock:
            stage = self._stages.setdefault(name, StageRecorder(name))
        return _Passage(stage, entered)

    def scores(self, stage: str) -> Mapping[str, float]:
        """What `stage` has scored so far, by chunk id."""
        with self._lock:
            return self._stages[stage].scores if stage in self._stages else {}

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


def describe(error: BaseException) -> str:
    """An error in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
