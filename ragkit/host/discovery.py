"""Where plugins come from: the built-in ones, entry points, and objects that were handed over.

Nothing is imported here; a `Candidate` says how its plugin is loaded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from ragkit.hookspecs import PROJECT


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded. One that was handed over (`given`) has no distribution, and must be sound."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]
    given: bool = False

    def __str__(self) -> str:
        """How messages name it: by its distribution where it has one."""
        return f"{self.distribution} {self.version}" if self.distribution else f"the plugin {self.name}"


def built_in() -> Iterator[Candidate]:
    """The plugins within ragkit itself."""
    from ragkit import __version__
    from ragkit.builtin import PLUGINS

    for module in PLUGINS:
        yield Candidate(module, PROJECT, __version__, partial(importlib.import_module, module))


def installed() -> Iterator[Candidate]:
    """The entry points of the group `ragkit`, by distribution and name."""
    found: list[Candidate] = []
    for point in importlib.metadata.entry_points(group=PROJECT):
        name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "0")
        found.append(Candidate(point.name, name, version, point.load))
    yield from sorted(found, key=lambda candidate: (candidate.distribution, candidate.name))


def handed_over(plugins: Iterable[object]) -> Iterator[Candidate]:
    """Objects with hooks: modules, namespaces, instances, or classes that are made without arguments."""
    for plugin in plugins:
        name = getattr(plugin, "__name__", None) or type(plugin).__name__
        yield Candidate(str(name), "", "", plugin if isinstance(plugin, type) else partial(_same, plugin), given=True)


def _same(plugin: object) -> object:
    return plugin
