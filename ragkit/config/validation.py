"""From values to specs: every component is found through the host and its options are checked, at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from ragkit.components import Component, Kind, Role, Spec
from ragkit.config.messages import MASK, Finding, Loc, carried, checked, joined, shown
from ragkit.config.reader import Mark, Parts, Place
from ragkit.config.settings import DEFAULTS, Config, Settings, opened
from ragkit.errors import PluginError, Problem
from ragkit.filters import Filter, operators
from ragkit.host import NAMED_KINDS, Host, label

_UPLOADS = "uploads"
"""The source that holds what is uploaded in the chat; no other may be called so."""


def validate(
    data: Mapping[str, Any], places: Mapping[Parts, Place], host: Host, folder: Path
) -> tuple[Config | None, list[Problem]]:
    """The configuration that `data` describes, and all that is wrong with it. `folder` is where relative paths start."""
    values = {"name": folder.absolute().name or "ragkit", **data}
    values |= {key: opened(data[key], use) for key, use in DEFAULTS.items() if key in data}
    context = {"resolve": partial(_resolve, host), "folder": folder, "has_llm": data.get("llm") is not None}
    settings, found = checked(Settings, values, context, secrets={"state"})
    for kind in (Kind.SOURCE, Kind.RERANKER):
        found += _repeated(data, places, kind, host)
    if settings and settings.filter:
        found += _deaf(settings.retriever, settings.filter, ("retriever",))
    return Config.model_construct(**dict(settings), host=host) if settings else None, _placed(data, places, found)


def _resolve(host: Host, kind: Kind, value: Any, context: Mapping[str, Any]) -> Spec:
    """The spec that a YAML value stands for; a `ValidationError` carries everything that is wrong in it."""
    component, name, values = _chosen(host, kind, value)
    secrets = {key for key in component.options.model_fields if component.options.role(key) is Role.SECRET}
    options, found = checked(component.options, values, context, secrets, component.name)
    for key in secrets & values.keys():
        secret = values[key].get_secret_value() if isinstance(values[key], SecretStr) else str(values[key])
        if len(secret) > 3:
            found = [replace(one, message=one.message.replace(secret, MASK)) for one in found]
    capabilities = Spec(kind, component, options, name).capabilities if options is not None else component.capabilities
    if "llm" in capabilities.get("needs", ()) and not context["has_llm"]:
        found.append(Finding(("use",), f"{component.name} needs a language model; name one under 'llm'"))
    if kind is Kind.SOURCE and name == _UPLOADS != component.name:
        found.append(Finding(("name",), f"{_UPLOADS!r} is the name of what is uploaded in the chat; choose another"))
    if kind is Kind.SOURCE and component.name == _UPLOADS != name:
        found.append(Finding(("name",), f"the source {_UPLOADS!r} has this name alone; leave `name` out"))
    if found or options is None:
        raise carried(found)
    return Spec(kind, component, options, name)


def _chosen(host: Host, kind: Kind, value: Any) -> tuple[Component, str, dict[str, Any]]:
    """The component that a YAML value names, the name it goes by, and its options as written."""
    if isinstance(value, str):
        value = {"use": value}
    if not isinstance(value, Mapping):
        raise carried([Finding((), f"must name the {label(kind)}: a name, or {{use: name, …}}")])
    found = []
    values = dict(value)
    use, name = values.pop("use", None), values.pop("name", None) if kind in NAMED_KINDS else None
    if not isinstance(use, str):
        found.append(Finding(("use",), f"must name the {label(kind)}", "value" if "use" in value else "missing"))
    if kind in NAMED_KINDS and "name" in value and not (isinstance(name, str) and name.strip()):
        found.append(Finding(("name",), "must be text"))
    if found:
        raise carried(found)
    try:
        component = host.component(kind, use)
    except PluginError as error:
        told = f"{error.message}; {error.cure}" if error.cure else error.message
        told = f"{shown(use)} is no {label(kind)}" if getattr(use, "variables", ()) else told
        raise carried([Finding(("use",), told)]) from None
    return component, str(name or (_source_name(component, values) if kind is Kind.SOURCE else use)), values


def _source_name(component: Component, values: Mapping[str, Any]) -> str:
    """What a source without a `name` is called: its kind with its path or URL as written, credentials left out."""
    for key in ("path", "url"):
        value = values.get(key)
        known = key in component.options.model_fields and component.options.role(key) is not Role.SECRET
        if known and isinstance(value, str | Path) and str(value):
            bare = re.sub(r"(?<=://)[^/]*@", "", str(value))
            return f"{component.name}:{bare if '://' in bare else PurePosixPath(bare)}"
    return component.name


def _repeated(data: Mapping[str, Any], places: Mapping[Parts, Place], kind: Kind, host: Host) -> Iterator[Finding]:
    """Entries of a list that share a name, whether it was given or made."""
    key = kind.yaml_key
    seen: dict[str, int] = {}
    broken = {path[:2] for path, place in places.items() if place.broken}
    for at, value in enumerate(data[key] if isinstance(data.get(key), list | tuple) else ()):
        if (key, str(at)) in broken:
            continue
        try:
            name = _chosen(host, kind, value)[1]
        except ValidationError:
            continue  # told where it is resolved
        first = seen.setdefault(name, at)
        if first != at:
            mark = places.get((key, str(first)), Place()).value
            where = f" ({mark.file}:{mark.line}:{mark.column})" if mark.line else ""
            yield Finding((key, at), f"is called {name!r} like {key}.{first}{where}; give one of them another `name`")


def _deaf(spec: Spec, wanted: Filter, loc: Loc) -> Iterator[Finding]:
    """Retrievers, at any depth, whose capability `filters` lacks what `wanted` asks."""
    known = spec.capabilities.get("filters")
    lacking = sorted(operators(wanted) - set(known)) if isinstance(known, list | tuple | set | frozenset) else []
    if lacking or known is False:
        what = f"cannot filter by {', '.join(lacking)}" if known else "cannot filter"
        cure = "remove 'filter', or use dense, keyword or hybrid over the stores"
        yield Finding((*loc, "use"), f"{spec.use} {what}, and 'filter' asks for it; {cure}")
    for at, inner in _nested(spec.options, loc):
        yield from _deaf(inner, wanted, at)


def _nested(value: Any, loc: Loc) -> Iterator[tuple[Loc, Spec]]:
    """The retrievers in options, in lists and in what options are made of."""
    if isinstance(value, Spec):
        yield from [(loc, value)] if value.kind is Kind.RETRIEVER else ()
    elif isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _nested(getattr(value, key), (*loc, key))
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value):
            yield from _nested(one, (*loc, at))


def _placed(data: Mapping[str, Any], places: Mapping[Parts, Place], found: list[Finding]) -> list[Problem]:
    """Findings with their places in the files; several about one value become one, and what is broken is left out."""
    told: dict[tuple[Mark, str], list[str]] = {}
    for one in found:
        loc = _written(data, one.loc)
        depths = range(len(loc), -1, -1)  # what was made by merging has no place of its own, but that of what it is in
        place = next((places[path] for depth in depths if (path := tuple(map(str, loc[:depth]))) in places), Place())
        if place.broken and one.at != "key":
            continue
        if one.at == "missing":
            loc = one.loc
        elif one.loc and not loc:  # a default
            loc = one.loc[:-1] if one.loc[-1] == "use" else one.loc
        told.setdefault((place.key if one.at == "key" else place.value, _dotted(loc)), []).append(one.message)
    return [Problem(path, joined(told[mark, path]), *mark) for mark, path in sorted(told)]


def _written(data: Any, loc: Loc) -> Loc:
    """The part of `loc` that leads to a value in `data`."""
    for depth, part in enumerate(loc):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return loc[:depth]
    return loc


def _dotted(loc: Loc) -> str:
    return ".".join(map(str, loc))
