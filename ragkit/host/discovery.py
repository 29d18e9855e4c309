"""Where plugins come from. Nothing is imported here but what says which are built in."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ragkit.components import Component, Kind
from ragkit.hookspecs import PROJECT


@dataclass(frozen=True)
class PluginInfo:
    """What became of a plugin. `name` is its entry point's; a `failed` or `refused` one says why in `error`.

    A plugin that was handed over has no distribution. `components` are those it offers, with their kinds.
    """

    name: str
    distribution: str = ""
    version: str = ""
    state: Literal["loaded", "failed", "refused"] = "loaded"
    error: str = ""
    components: tuple[tuple[Kind, Component], ...] = ()

    def __str__(self) -> str:
        """How messages name it: by its distribution where it has one."""
        return f"{self.distribution} {self.version}" if self.distribution else f"the plugin {self.name}"


def discovered(
    plugins: Iterable[object], *, entry_points: bool, builtins: bool
) -> Iterator[tuple[PluginInfo, Callable[[], object]]]:
    """What is built in, the entry points of the group `ragkit`, and `plugins`, each with the way to load it.

    `plugins` are modules, namespaces or instances with hooks, or classes that are made without arguments.
    """
    if builtins:
        from ragkit import __version__
        from ragkit.builtin import PLUGINS

        for module in PLUGINS:
            yield PluginInfo(module, PROJECT, __version__), partial(importlib.import_module, module)
    if entry_points:
        points = importlib.metadata.entry_points(group=PROJECT)
        found = [(PluginInfo(point.name, point.dist.name, point.dist.version), point.load) for point in points if point.dist]
        yield from sorted(found, key=lambda item: (item[0].distribution, item[0].name))
    for plugin in plugins:
        name = str(getattr(plugin, "__name__", type(plugin).__name__))
        yield PluginInfo(name), plugin if isinstance(plugin, type) else partial(_same, plugin)


def _same(plugin: object) -> object:
    return plugin
