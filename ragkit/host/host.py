"""`Host`: loads plugins one by one, checks them against the rules, and finds components by kind and name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import pluggy

from ragkit import hookspecs
from ragkit.components import Component, Kind, Options
from ragkit.errors import PluginError
from ragkit.host import discovery
from ragkit.host.discovery import Candidate
from ragkit.host.missing import missing_component
from ragkit.host.words import label, nearest, one_line

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NAMED_KINDS = frozenset({Kind.SOURCE, Kind.RETRIEVER, Kind.RERANKER})
"""Kinds that may stand several times in a configuration, so that a `name` is allowed beside `use`."""


@dataclass(frozen=True)
class PluginInfo:
    """What became of a plugin. `name` is its entry point's; a `failed` or `refused` one says why in `error`.

    A plugin that was handed over has no distribution. `components` are those it offers, with their kinds.
    """

    name: str
    distribution: str
    version: str
    state: Literal["loaded", "failed", "refused"]
    error: str = ""
    components: tuple[tuple[Kind, Component], ...] = ()


class Host:
    """Every plugin and component of one process.

    Raises `PluginError` for what breaks the rules: a misspelt hook, two components of one name and kind, a hook that
    returns anything but components. A plugin that cannot be imported, or needs a newer ragkit, is only recorded; asking
    for a component of it is the error then. Those in `plugins` must load.
    """

    def __init__(self, plugins: Iterable[object] = (), *, entry_points: bool = True, builtins: bool = True) -> None:
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        candidates = [
            *(discovery.built_in() if builtins else ()),
            *(discovery.installed() if entry_points else ()),
            *discovery.handed_over(plugins),
        ]
        loaded = [(candidate, self._load(candidate)) for candidate in candidates]
        self._refuse_unknown_hooks([(candidate, found) for candidate, found in loaded if not isinstance(found, PluginInfo)])
        self._components: dict[Kind, dict[str, Component]] = {kind: {} for kind in Kind}
        owners: dict[tuple[Kind, str], Candidate] = {}
        self.plugins = tuple(
            found if isinstance(found, PluginInfo) else self._collect(candidate, found, owners) for candidate, found in loaded
        )

    def components(self, kind: Kind) -> Mapping[str, Component]:
        """The components of `kind` by name."""
        return MappingProxyType(self._components[kind])

    def component(self, kind: Kind, name: str) -> Component:
        """The component of that kind and name; a `PluginError` says what is nearest, or what to install."""
        found = self._components[kind].get(name)
        if found is None:
            raise missing_component(kind, name, self._components, self.plugins)
        return found

    def _load(self, candidate: Candidate) -> object:
        """The registered plugin, or the `PluginInfo` of one that cannot be used."""
        try:
            plugin = candidate.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises must not stop the others
            return self._unusable(candidate, "failed", one_line(error), error)
        wanted = getattr(plugin, "RAGKIT_API", hookspecs.API_VERSION)
        if not isinstance(wanted, int) or wanted > hookspecs.API_VERSION:
            told = f"it needs version {wanted!r} of the plugin contract, and this ragkit has version {hookspecs.API_VERSION}"
            return self._unusable(candidate, "refused", told)
        try:
            self._pm.register(plugin, f"{candidate.distribution}:{candidate.name}:{len(self._pm.get_plugins())}")
        except (ValueError, pluggy.PluginValidationError) as error:
            told = str(error).splitlines()[-1 if isinstance(error, pluggy.PluginValidationError) else 0]
            raise _broken(candidate, f"cannot be registered: {told}") from error
        return plugin

    @staticmethod
    def _unusable(
        candidate: Candidate, state: Literal["failed", "refused"], told: str, error: BaseException | None = None
    ) -> PluginInfo:
        if candidate.given:
            cure = "upgrade ragkit, or take an older version of the plugin" if state == "refused" else ""
            raise PluginError(f"{candidate} cannot be loaded: {told}", cure=cure) from error
        return PluginInfo(candidate.name, candidate.distribution, candidate.version, state, told)

    def _refuse_unknown_hooks(self, loaded: list[tuple[Candidate, object]]) -> None:
        """Pluggy ignores a hook that it does not know, and a function without its mark; both are misspelt."""
        known = [kind.hook for kind in Kind]
        for candidate, plugin in loaded:
            callers = self._pm.get_hookcallers(plugin) or []
            for name in (caller.name for caller in callers if not caller.has_spec()):
                meant = nearest(name, known)
                hint = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(known)}"
                raise _broken(candidate, f"has a hook {name!r} that ragkit does not know; {hint}")
            marked = {caller.name for caller in callers}
            for name in known:
                if name not in marked and inspect.isroutine(getattr(plugin, name, None)):
                    raise _broken(candidate, f"has a function {name!r} that is not marked as a hook; put @hookimpl above it")
        self._pm.check_pending()

    def _collect(self, candidate: Candidate, plugin: object, owners: dict[tuple[Kind, str], Candidate]) -> PluginInfo:
        offered: list[tuple[Kind, Component]] = []
        for kind in Kind:
            caller = getattr(self._pm.hook, kind.hook)
            for implementation in (item for item in caller.get_hookimpls() if item.plugin is plugin):
                try:
                    found = _called(implementation.function)
                except Exception as error:  # noqa: BLE001 - as for an import
                    return self._unusable(candidate, "failed", f"{kind.hook} raised {one_line(error)}", error)
                offered += [(kind, _checked(candidate, kind, item)) for item in found]
        for kind, component in offered:
            other = owners.setdefault((kind, component.name), candidate)
            if component.name in self._components[kind]:
                raise _duplicate(kind, component.name, other, candidate)
            self._components[kind][component.name] = component
        return PluginInfo(candidate.name, candidate.distribution, candidate.version, "loaded", "", tuple(offered))


def _called(hook: Callable[[], object]) -> list[object]:
    found = hook()
    return list(found) if isinstance(found, Iterable) and not isinstance(found, str | Mapping) else [found]


def _checked(candidate: Candidate, kind: Kind, item: Any) -> Component:
    if not isinstance(item, Component):
        raise _broken(candidate, f"returned {item!r} from {kind.hook}, where only `Component`s may stand")
    place = f"offers the {label(kind)} {item.name!r}"
    if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
        raise _broken(candidate, f"{place}; a name is made of letters, digits, '_' and '-', a letter first")
    if not (isinstance(item.options, type) and issubclass(item.options, Options)):
        raise _broken(candidate, f"{place} with options that are no subclass of `Options`")
    taken = {"use", "name"} if kind in NAMED_KINDS else {"use"}
    for field in sorted(taken & set(item.options.model_fields)):
        raise _broken(candidate, f"{place} with an option {field!r}, which has a meaning of its own beside every component")
    return item


def _broken(candidate: Candidate, told: str) -> PluginError:
    cure = f"pip install --upgrade {candidate.distribution}, or uninstall it" if candidate.distribution else ""
    return PluginError(f"{candidate} {told}", distributions=_names(candidate), cure=cure)


def _duplicate(kind: Kind, name: str, first: Candidate, second: Candidate) -> PluginError:
    both = f"{first} and {second}" if first != second else f"{first}, twice"
    return PluginError(
        f"the {label(kind)} {name!r} is offered by {both}",
        distributions=_names(first, second),
        cure="uninstall one of them",
    )


def _names(*candidates: Candidate) -> list[str]:
    return [candidate.distribution or candidate.name for candidate in candidates]
