"""What a component claims, which tests that collects, and that none is replaced without a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ragkit.components import Component
from ragkit.filters import OPERATORS

METRICS = ("cosine", "dot", "l2")
PROCESSES = ("one", "many_readers", "server")

_NEEDS = "__ragkit_needs__"
_REASON = "__ragkit_overrides__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Claims:
    """A component's capabilities, with the defaults of those that it does not name."""

    metrics: tuple[str, ...]
    operators: tuple[str, ...]
    processes: str
    deletes: bool
    upserts: bool
    returns_vectors: bool
    scores_ids: bool
    sets_k1_b: bool
    stores_text: bool
    incremental: bool
    asynchronous: bool
    heeds_filters: bool

    @classmethod
    def of(cls, component: Component, options: Mapping[str, Any]) -> Claims:
        """What `component` claims with those YAML `options`."""
        said = said_by(component, options)
        return cls(
            metrics=tuple(said.get("metrics", ())),
            operators=tuple(filters) if isinstance(filters := said.get("filters"), list | tuple) else (),
            processes=str(said.get("processes", "one")),
            deletes=bool(said.get("delete", False)),
            upserts=bool(said.get("upsert", False)),
            returns_vectors=bool(said.get("vectors", False)),
            scores_ids=bool(said.get("score_by_id", False)),
            sets_k1_b=bool(said.get("k1_b", False)),
            stores_text=bool(said.get("stores_text", False)),
            incremental=bool(said.get("incremental", True)),
            asynchronous=bool(said.get("async", False)),
            heeds_filters=said.get("filters") is not False,
        )

    @property
    def other_metrics(self) -> tuple[str, ...]:
        """The metrics that are not claimed."""
        return tuple(metric for metric in METRICS if metric not in self.metrics)

    @property
    def other_operators(self) -> tuple[str, ...]:
        """The filter operators and conditions that are not claimed."""
        return tuple(operator for operator in OPERATORS if operator not in self.operators)

    @property
    def filters(self) -> bool:
        """Whether a filter for equality can tell chunks apart."""
        return "==" in self.operators

    @property
    def many_processes(self) -> bool:
        """Whether another process may read while one writes."""
        return self.processes in ("many_readers", "server")


def said_by(component: Component, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The capabilities of `component` with those YAML `options`; they are only read where the component asks for them."""
    changed = component.adapt(component.options.model_validate(dict(options))) if component.adapt else {}
    return {**component.capabilities, **changed}


def needs(condition: Callable[[Claims], Any]) -> Callable[[F], F]:
    """Collect the test only for a component whose claims satisfy `condition`."""

    def mark(test: F) -> F:
        setattr(test, _NEEDS, condition)
        return test

    return mark


def overrides(reason: str) -> Callable[[F], F]:
    """Say why a test of the suite is replaced. Without it the class is an error.

    @overrides("the server counts with a delay of up to a minute, polled for here")
    def test_counts(self, opener): …
    """
    if not isinstance(reason, str) or not reason.strip():
        raise TypeError('say why: @overrides("the reason")')

    def mark(test: F) -> F:
        setattr(test, _REASON, reason)
        return test

    return mark


def prepare(cls: type, package: str) -> None:
    """Refuse tests of the suite that `cls` replaces without a reason; take out those whose needs its claims do not satisfy.

    What is defined in a module of `package` is the suite. A test is taken out by the name standing for None, which pytest
    does not collect.
    """
    suite = {
        name: test
        for base in reversed(cls.__mro__)
        if base.__module__.startswith(package)
        for name, test in vars(base).items()
        if name.startswith("test_")
    }
    for name, test in vars(cls).items():
        if name in suite and not getattr(test, _REASON, None):
            raise TypeError(f'{cls.__name__} replaces {name} of the suite without a reason: @overrides("the reason")')
    component = getattr(cls, "component", None)
    if component is None:
        return
    claims = Claims.of(component, getattr(cls, "sample_options", {}))
    for name, test in suite.items():
        condition = getattr(test, _NEEDS, None)
        if condition is not None and not condition(claims):
            setattr(cls, name, None)
        elif getattr(cls, name) is None:  # a class in between did not claim it
            setattr(cls, name, test)
