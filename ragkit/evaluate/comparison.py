"""Two evaluations of the same questions, and an evaluation against a saved one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import ConfigError, Problem
from ragkit.evaluate.results import Evaluation
from ragkit.evaluate.significance import TEST, interval, p_value


@dataclass(frozen=True)
class Difference:
    """How much higher the first is, over the questions that both measured: mean, 95 % interval, p-value.

    `gains`, `losses` and `ties` count the questions where the first is better, worse, alike.
    """

    mean: float
    ci95: tuple[float, float] | None
    p: float | None
    gains: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Comparison:
    """`this` against `other`; None for a metric that both measured on no question."""

    this: Evaluation
    other: Evaluation
    differences: Mapping[str, Difference | None]

    def to_dict(self) -> dict[str, Any]:
        """The `compare` of `ragkit eval --json`."""
        differences = {name: asdict(item) if item else None for name, item in self.differences.items()}
        return {**self.other.to_dict(), "test": TEST, "differences": differences}

    def per_query(self, metric: str) -> list[tuple[str, str, float]]:
        """Id, question and difference of each question, the greatest gain first."""
        others = {query.id: query.metrics.get(metric) for query in self.other.per_query}
        found = []
        for query in self.this.per_query:
            mine, theirs = query.metrics.get(metric), others.get(query.id)
            if mine is not None and theirs is not None:
                found.append((query.id, query.text, mine - theirs))
        return sorted(found, key=lambda item: -item[2])


def compare(this: Evaluation, other: Evaluation) -> Comparison:
    """Hold two evaluations of the same questions against each other, question by question."""
    comparison = Comparison(this, other, {})
    differences = {name: _difference([value for _, _, value in comparison.per_query(name)]) for name in this.metrics}
    return Comparison(this, other, differences)


def _difference(found: list[float]) -> Difference | None:
    if not found:
        return None
    values = np.array(found, dtype=np.float64)
    # equal rankings give equal sums only up to the last digits
    values[np.abs(values) < 1e-12] = 0.0
    gains, losses = int((values > 0).sum()), int((values < 0).sum())
    mean = float(values.mean())
    return Difference(mean, interval(values), p_value(values), gains, losses, len(values) - gains - losses)


@dataclass(frozen=True)
class Change:
    """A metric now and in the baseline; `now` is None where it could not be measured. `fell` is what the gate looks at."""

    metric: str
    before: float
    now: float | None
    fell: bool


def against(evaluation: Evaluation, baseline: Mapping[str, Any], fail_under: float | None) -> tuple[Change, ...]:
    """Each metric that the baseline measured; it fell if it lost more than `fail_under`, or cannot be measured any more."""
    changes = []
    for name, entry in baseline["metrics"].items():
        if entry is not None and name in evaluation.metrics:
            estimate = evaluation.metrics[name]
            now = estimate.mean if estimate else None
            fell = fail_under is not None and (now is None or entry["mean"] - now > fail_under + 1e-12)
            changes.append(Change(name, entry["mean"], now, fell))
    return tuple(changes)


def read_baseline(file: Path) -> dict[str, Any]:
    """A saved run, or the output of `ragkit eval --json`. Raises `ConfigError` for anything else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        sound = all(entry is None or isinstance(entry["mean"], int | float) for entry in found["metrics"].values())
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unusable(file, "is no saved evaluation") from error
    if not sound:
        raise _unusable(file, "has a mean that is no number")
    return dict(found)


def _unusable(file: Path, message: str) -> ConfigError:
    return ConfigError([Problem("", message, str(file))], cure="ragkit eval DATASET --json > FILE, or --save DIR, writes one")
