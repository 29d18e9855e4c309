"""Where the marks of the report's charts stand, in pixels; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ragkit.evaluate.results import Evaluation

LABEL, PLOT, VALUE = 150, 460, 150
"""The widths of a bar chart's columns."""
WIDTH = LABEL + PLOT + VALUE

_BAR, _GAP = 16, 12
_BINS, _HEIGHT = 40, 120
_MOST_BARS = 600


@dataclass(frozen=True)
class Bar:
    """A metric of one system; `low` and `high` bound its interval and are None without one."""

    label: str
    series: int
    y: int
    width: float
    low: float | None
    high: float | None
    told: str


@dataclass(frozen=True)
class Column:
    """An upright bar."""

    x: float
    y: float
    width: float
    height: float
    sign: int = 0


@dataclass(frozen=True)
class Histogram:
    """How many questions took how long; the last column has all that took longer."""

    columns: tuple[Column, ...]
    highest_ms: float
    p50: float
    p95: float


def metric_bars(evaluations: Sequence[Evaluation]) -> tuple[list[Bar], int]:
    """A group per metric, a bar per system, and the height of the whole."""
    bars = []
    y = 0
    for name in evaluations[0].metrics:
        for series, evaluation in enumerate(evaluations):
            estimate = evaluation.metrics.get(name)
            low, high = estimate.ci95 if estimate and estimate.ci95 else (None, None)
            told = "not measured" if estimate is None else f"{estimate.mean:.3f}"
            told += f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
            width = _scaled(estimate.mean) if estimate else 0.0
            bars.append(Bar(name if series == 0 else "", series, y, width, _at(low), _at(high), told))
            y += _BAR
        y += _GAP
    return bars, y


def latencies(evaluation: Evaluation) -> Histogram | None:
    """The distribution up to the 99th percentile."""
    if evaluation.latency_ms is None:
        return None
    taken = np.array([query.latency_ms for query in evaluation.per_query])
    highest = max(float(np.percentile(taken, 99)), 1e-3)
    counts, _ = np.histogram(np.minimum(taken, highest), bins=_BINS, range=(0.0, highest))
    step = WIDTH / _BINS
    heights = [_HEIGHT * int(count) / int(counts.max()) for count in counts]
    columns = tuple(Column(at * step, _HEIGHT - height, step - 1, height) for at, height in enumerate(heights) if height)
    p50, p95 = (WIDTH * min(value / highest, 1.0) for value in (evaluation.latency_ms.p50, evaluation.latency_ms.p95))
    return Histogram(columns, highest, p50, p95)


def gains(differences: Sequence[float]) -> tuple[Column, ...]:
    """Differences in descending order around a middle line; of very many, evenly chosen ones."""
    if not differences:
        return ()
    count = min(len(differences), _MOST_BARS)
    chosen = [differences[round(at * (len(differences) - 1) / max(count - 1, 1))] for at in range(count)]
    largest = max(map(abs, chosen)) or 1.0
    step, half = WIDTH / count, _HEIGHT / 2
    found = []
    for at, value in enumerate(chosen):
        height = half * abs(value) / largest
        sign = (value > 0) - (value < 0)
        found.append(Column(at * step, half - height if value > 0 else half, max(step - 0.3, 0.3), height, sign))
    return tuple(found)


def _at(value: float | None) -> float | None:
    return None if value is None else LABEL + _scaled(value)


def _scaled(value: float) -> float:
    return round(PLOT * min(max(value, 0.0), 1.0), 2)
