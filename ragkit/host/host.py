"""`Host`: loads plugins one by one, checks them against the rules, and finds components by kind and name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import pluggy

from ragkit import hookspecs
from ragkit.components import Component, Kind, Options, link_faults
from ragkit.errors import PluginError
from ragkit.host.discovery import PluginInfo, discovered
from ragkit.host.missing import missing_component
from ragkit.host.words import label, nearest, one_line

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NAMED_KINDS = frozenset({Kind.SOURCE, Kind.RETRIEVER, Kind.RERANKER})
"""Kinds that may stand several times in a configuration, so that a `name` is allowed beside `use`."""


class Host:
    """Every plugin and component of one process.

    Raises `PluginError` for what breaks the rules: a misspelt hook, two components of one name and kind, a hook that
    returns anything but components. A plugin that cannot be imported, or needs a newer ragkit, is only recorded; asking
    for a component of it is the error then. Those in `plugins` must load.
    """

    def __init__(self, plugins: Iterable[object] = (), *, entry_points: bool = True, builtins: bool = True) -> None:
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._components: dict[Kind, dict[str, Component]] = {kind: {} for kind in Kind}
        self._owners: dict[tuple[Kind, str], PluginInfo] = {}
        found = discovered(plugins, entry_points=entry_points, builtins=builtins)
        self.plugins = tuple(self._taken(info, load) for info, load in found)
        self._pm.check_pending()  # pluggy's own word that no hook is left which nobody calls

    def components(self, kind: Kind) -> Mapping[str, Component]:
        """The components of `kind` by name."""
        return MappingProxyType(self._components[kind])

    def component(self, kind: Kind, name: str) -> Component:
        """The component of that kind and name; a `PluginError` says what is nearest, or what to install."""
        found = self._components[kind].get(name)
        if found is None:
            raise missing_component(kind, name, self._components, self.plugins)
        return found

    def _taken(self, info: PluginInfo, load: Callable[[], object]) -> PluginInfo:
        """The plugin with its components, which the host knows from now on, or with the reason why it cannot be used."""
        try:
            plugin = load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises must not stop the others
            return _unusable(info, "failed", one_line(error), error)
        wanted = getattr(plugin, "RAGKIT_API", hookspecs.API_VERSION)
        if not isinstance(wanted, int) or wanted > hookspecs.API_VERSION:
            told = f"it needs version {wanted!r} of the plugin contract, and this ragkit has version {hookspecs.API_VERSION}"
            return _unusable(info, "refused", told)
        offered: list[tuple[Kind, Component]] = []
        for kind, hook in self._hooks(info, plugin):
            try:
                found = hook()
                items = list(found) if isinstance(found, Iterable) and not isinstance(found, str | Mapping) else [found]
            except Exception as error:  # noqa: BLE001 - as for an import
                return _unusable(info, "failed", f"{kind.hook} raised {one_line(error)}", error)
            offered += [(kind, _checked(info, kind, item)) for item in items]
        for kind, component in offered:
            owner = self._owners.setdefault((kind, component.name), info)
            if component.name in self._components[kind]:
                both = f"{owner}, twice" if owner == info else f"{owner} and {info}"
                told = f"the {label(kind)} {component.name!r} is offered by {both}"
                names = [one.distribution or one.name for one in (owner, info)]
                raise PluginError(told, distributions=names, cure="uninstall one of them")
            self._components[kind][component.name] = component
        return replace(info, components=tuple(offered))

    def _hooks(self, info: PluginInfo, plugin: object) -> list[tuple[Kind, Callable[[], object]]]:
        """The plugin's hooks. Pluggy ignores one that it does not know, and a function without its mark: both are misspelt."""
        try:
            self._pm.register(plugin, f"{info.name}:{len(self._pm.get_plugins())}")
        except (ValueError, pluggy.PluginValidationError) as error:
            told = str(error).splitlines()[-1 if isinstance(error, pluggy.PluginValidationError) else 0]
            raise _broken(info, f"cannot be registered: {told}") from error
        known = {kind.hook: kind for kind in Kind}
        marked = {caller.name: caller for caller in self._pm.get_hookcallers(plugin) or ()}
        for name in marked:
            if name not in known:
                meant = nearest(name, known)
                hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(known)}"
                raise _broken(info, f"has a hook {name!r} that ragkit does not know; {hint}")
        for name in known:
            if name not in marked and inspect.isroutine(getattr(plugin, name, None)):
                raise _broken(info, f"has a function {name!r} that is not marked as a hook; put @hookimpl above it")
        return [
            (kind, hook.function)
            for name, kind in known.items()
            if name in marked
            for hook in marked[name].get_hookimpls()
            if hook.plugin is plugin
        ]


def _checked(info: PluginInfo, kind: Kind, item: Any) -> Component:
    if not isinstance(item, Component):
        raise _broken(info, f"returned {item!r} from {kind.hook}, where only `Component`s may stand")
    place = f"offers the {label(kind)} {item.name!r}"
    if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
        raise _broken(info, f"{place}; a name is made of letters, digits, '_' and '-', a letter first")
    if not (isinstance(item.options, type) and issubclass(item.options, Options)):
        raise _broken(info, f"{place} with options that are no subclass of `Options`")
    taken = {"use", "name"} if kind in NAMED_KINDS else {"use"}
    for field in sorted(taken & set(item.options.model_fields)):
        raise _broken(info, f"{place} with an option {field!r}, which has a meaning of its own beside every component")
    for wrong in link_faults(item):
        raise _broken(info, f"{place} with a link pattern that {wrong}")
    return item


def _unusable(info: PluginInfo, state: Literal["failed", "refused"], told: str, error: BaseException | None = None) -> PluginInfo:
    if info.distribution:
        return replace(info, state=state, error=told)
    cure = "upgrade ragkit, or take an older version of the plugin" if state == "refused" else ""
    raise PluginError(f"{info} cannot be loaded: {told}", cure=cure) from error


def _broken(info: PluginInfo, told: str) -> PluginError:
    cure = f"pip install --upgrade {info.distribution}, or uninstall it" if info.distribution else ""
    return PluginError(f"{info} {told}", distributions=[info.distribution or info.name], cure=cure)
