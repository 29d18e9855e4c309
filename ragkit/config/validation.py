"""From values to specs: every component is found through the host and its options are checked, at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import SecretStr, ValidationError

from ragkit.components import Component, Kind, Options, Role, Spec
from ragkit.config.messages import Finding, carried, findings, joined, shown, without_booleans
from ragkit.config.nodes import Mark, Node, Text, dotted
from ragkit.config.settings import SINGLE, Config, Settings, default_use
from ragkit.errors import PluginError, Problem
from ragkit.host import NAMED_KINDS, Host, label

_UPLOADS = "uploads"
"""The source that holds what is uploaded in the chat; no other may be called so."""


def validate(root: Node, host: Host, folder: Path) -> tuple[Config | None, list[Problem]]:
    """The configuration that `root` describes, and all that is wrong with it. `folder` is where relative paths start."""
    data = root.plain()
    for key in SINGLE:
        use = default_use(key)
        if use and isinstance(data.get(key), dict) and "use" not in data[key]:
            data[key] = {"use": use, **data[key]}
    context = {"resolve": partial(_resolve, host), "folder": folder, "has_llm": data.get("llm") is not None}
    found = [*_repeated(root, data, Kind.SOURCE, host), *_repeated(root, data, Kind.RERANKER, host)]
    values = {"name": folder.absolute().name or "ragkit", "state": ".ragkit", **data}
    config = None
    try:
        config = Config.model_construct(**dict(Settings.model_validate(values, context=context)))
    except ValidationError as error:
        found += findings(error, Settings, "key", {"state"})
    return config, _placed(root, without_booleans(found, Settings, data))


def _resolve(host: Host, kind: Kind, value: Any, context: Mapping[str, Any]) -> Spec:
    """The spec that a YAML value stands for; a `ValidationError` carries everything that is wrong in it."""
    use, name, values = _parts(kind, value)
    try:
        component = host.component(kind, use)
    except PluginError as error:
        told = f"{error.message}; {error.cure}" if error.cure else error.message
        if isinstance(use, Text) and use.variables:
            told = f"{shown(use)} is no {label(kind)}"
        raise carried([Finding(("use",), told)], kind) from None
    found: list[Finding] = []
    if "llm" in component.capabilities.get("needs", ()) and not context.get("has_llm"):
        found.append(Finding(("use",), f"{use} needs a language model; name one under 'llm'"))
    options = _options(component, values, context, found)
    if found or options is None:
        raise carried(found, kind)
    return Spec(kind, component, options, name or (source_name(component, values) if kind is Kind.SOURCE else use))


def _parts(kind: Kind, value: Any) -> tuple[str, str, dict[str, Any]]:
    """The component's name, the given name and the options of `name` or `{use: name, …}`."""
    if isinstance(value, str):
        return value, "", {}
    if not isinstance(value, Mapping):
        raise carried([Finding((), f"must name the {label(kind)}: a name, or {{use: name, …}}")], kind)
    values = dict(value)
    use, name = values.pop("use", None), values.pop("name", "") if kind in NAMED_KINDS else ""
    found = []
    if not isinstance(use, str):
        found.append(Finding(("use",), f"must name the {label(kind)}", "value" if "use" in value else "missing"))
    if "name" in value and kind in NAMED_KINDS and (not isinstance(name, str) or not name.strip()):
        found.append(Finding(("name",), "must be text"))
    if found or not isinstance(use, str):
        raise carried(found, kind)
    return use, str(name), values


def _options(component: Component, values: dict[str, Any], context: Mapping[str, Any], found: list[Finding]) -> Options | None:
    """The validated options; what is wrong with them is added to `found`, without any secret in it."""
    fields = component.options.model_fields
    secrets = {key for key in fields if component.options.role(key) is Role.SECRET}
    hidden = [secret for key in secrets & set(values) if len(secret := _revealed(values[key])) > 3]
    new: list[Finding] = []
    options = None
    try:
        options = component.options.model_validate(values, context=dict(context))
    except ValidationError as error:
        new = findings(error, component.options, f"option of {component.name}", secrets)
    except Exception as error:  # noqa: BLE001 - a plugin's validator may raise anything; it is told like any problem
        told = f"the options of {component.name} cannot be checked: {type(error).__name__}: {' '.join(str(error).split())}"
        new = [Finding((), told)]
    for item in without_booleans(new, component.options, values):
        message = item.message
        for secret in hidden:
            message = message.replace(secret, "********")
        found.append(Finding(item.loc, message, item.place))
    return options


def _revealed(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value) if isinstance(value, str | int) else ""


def source_name(component: Component, values: Mapping[str, Any]) -> str:
    """What a source without a `name` is called: its kind with its path or URL as written, credentials left out."""
    for key in ("path", "url"):
        value = values.get(key)
        if key not in component.options.model_fields or component.options.role(key) is Role.SECRET:
            continue
        if isinstance(value, str | Path) and str(value):
            scheme, separator, rest = str(value).partition("://")
            if not separator:
                return f"{component.name}:{PurePosixPath(value)}"
            server, slash, path = rest.partition("/")
            return f"{component.name}:{scheme}://{server.rpartition('@')[2]}{slash}{path}"
    return component.name


def _repeated(root: Node, data: Mapping[str, Any], kind: Kind, host: Host) -> Iterator[Finding]:
    """Entries of a list that share a name, whether it was given or made."""
    key = kind.yaml_key
    seen: dict[str, int] = {}
    for at, value in enumerate(data[key] if isinstance(data.get(key), list) else ()):
        if any(node.broken for node in root.deepest((key, at))[0].children().values()):
            continue
        try:
            use, name, values = _parts(kind, value)
        except ValidationError:
            continue  # told where it is resolved
        component = host.components(kind).get(use)
        called = name or (source_name(component, values) if component and kind is Kind.SOURCE else use)
        if kind is Kind.SOURCE and name == _UPLOADS != use:
            yield Finding((key, at, "name"), f"{_UPLOADS!r} is the name of what is uploaded in the chat; choose another")
        first = seen.setdefault(called, at)
        if first != at:
            mark = root.deepest((key, first))[0].mark
            where = f" ({mark.file}:{mark.line}:{mark.column})" if mark.line else ""
            told = f"is called {called!r} like {key}.{first}{where}; give one of them another `name`"
            yield Finding((key, at), told)


def _placed(root: Node, found: list[Finding]) -> list[Problem]:
    """Findings with their places in the files; several about one value become one, and what is broken is left out."""
    problems: list[tuple[Mark, str, str]] = []
    for item in found:
        node, loc = root.deepest(item.loc)
        if node.broken and item.place != "key":
            continue
        rest = item.loc[len(loc) :]
        mark = node.key or node.mark if item.place == "key" else node.mark
        if item.place == "missing" or (rest and not loc):
            loc = item.loc[: -1 if item.loc[-1] == "use" and item.place == "value" else None]
        problems.append((mark, dotted(loc), item.message))
    problems.sort(key=lambda one: (one[0].file, one[0].line, one[0].column, one[1]))
    return [
        Problem(path, joined(message for *_, message in group), mark.file, mark.line, mark.column)
        for (mark, path), group in groupby(problems, key=lambda one: one[:2])
    ]
