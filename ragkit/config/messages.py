"""Pydantic's errors in the words of someone who writes YAML. No message repeats a secret or a variable's value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ragkit.config.nodes import Loc, Text
from ragkit.host import nearest

Place = Literal["value", "key", "missing"]
"""Where a problem stands: at the value, at the key, or at the mapping that lacks the key."""

_OURS = "ragkit"
_FIXED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "path_type": "must be a path",
    "none_required": "must be null",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


@dataclass(frozen=True)
class Finding:
    """Something wrong at `loc`, in its final words."""

    loc: Loc
    message: str
    place: Place = "value"


def carried(findings: Sequence[Finding], title: str) -> ValidationError:
    """Findings as a `ValidationError`, which pydantic takes outwards through the components that nest this one."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(_OURS, "{message}", {"message": item.message, "place": item.place}), loc=item.loc, input=None
        )
        for item in findings
    ]
    return ValidationError.from_exception_data(title, details)


def findings(error: ValidationError, model: type[BaseModel], what: str, secrets: Collection[str] = ()) -> list[Finding]:
    """What `error` says about `model`; `what` names its fields (`key`, `option of chroma`), `secrets` are never shown."""
    return [_finding(one, model, what, secrets) for one in error.errors(include_url=False) if not _echo(one)]


def _echo(error: ErrorDetails) -> bool:
    """Pydantic calls a list too short when its entries are wrong, whatever their number."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _finding(error: ErrorDetails, model: type[BaseModel], what: str, secrets: Collection[str]) -> Finding:
    loc, kind = error["loc"], error["type"]
    if kind == _OURS:
        return Finding(loc, error["ctx"]["message"], error["ctx"]["place"])
    if kind == "missing":
        return Finding(loc, "is required", "missing")
    if kind == "extra_forbidden":
        return Finding(loc, _unknown(what, str(loc[-1]), _fields(model, loc[:-1])), "key")
    return Finding(loc, _worded(error, secret=bool(loc) and loc[0] in secrets))


def _unknown(what: str, name: str, known: Sequence[str]) -> str:
    meant = nearest(name, known)
    choice = f"; did you mean {meant!r}?" if meant else f"; there is: {', '.join(known)}" if known else "; it has none"
    first, *rest = what.split(" ", 1)
    return f"unknown {first} {name!r}{''.join(f' {words}' for words in rest)}{choice}"


def _fields(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys of the model within `model` to which `loc` leads; empty where that is no model."""
    inner: Any = model
    for part in loc:
        fields = _models(inner)
        if isinstance(part, str) and fields and part in fields[0].model_fields:
            inner = fields[0].model_fields[part].annotation
    found = _models(inner)
    return [info.alias or key for key, info in found[0].model_fields.items()] if found else []


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _worded(error: ErrorDetails, *, secret: bool) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    told = "" if secret else f", not {shown(value)}"
    if kind in _FIXED:
        numeric = kind == "string_type" and isinstance(value, int | float)
        return f"{_FIXED[kind]}{told}{'; put it in quotes' if numeric else ''}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}{told}"
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"])
        meant = nearest(value, re.findall(r"'([^']*)'", expected)) if isinstance(value, str) and not secret else None
        return f"must be {expected}{told}{f'; did you mean {meant!r}?' if meant else ''}"
    if kind in ("too_short", "too_long"):
        return _counted(kind, context, "entry", "entries")
    if kind in ("string_too_short", "string_too_long"):
        return _counted(kind, context, "character", "characters")
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error") or "is not valid")
    return error["msg"].replace("Input should be", "must be").replace("Input should", "must")


def _counted(kind: str, context: Mapping[str, Any], one: str, many: str) -> str:
    few = kind.endswith("too_short")
    bound = context["min_length" if few else "max_length"]
    return f"must have at {'least' if few else 'most'} {bound} {one if bound == 1 else many}"


def without_booleans(found: Sequence[Finding], model: type[BaseModel], values: Mapping[str, Any]) -> list[Finding]:
    """`found`, and where true or false stands for a number, which pydantic takes for 1 or 0."""
    numbers = (int, float, int | None, float | None)
    fields = {key: value for key, value in values.items() if isinstance(value, bool) and key in model.model_fields}
    wrong = {key: value for key, value in fields.items() if model.model_fields[key].annotation in numbers}
    told = [Finding((key,), f"must be a number, not {shown(value)}") for key, value in wrong.items()]
    return [item for item in found if item.loc[:1] not in {one.loc for one in told}] + told


def shown(value: Any) -> str:
    """A wrong value as messages have it."""
    if isinstance(value, Text) and value.variables:
        return f"the value of {' and '.join(f'${{{name}}}' for name in value.variables)}"
    if isinstance(value, str):
        return repr(str(value) if len(value) <= 40 else f"{value[:37]}…")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)[:40]
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else type(value).__name__


def joined(messages: Iterable[str]) -> str:
    """What several branches of a union say of one value, as one message."""
    distinct = list(dict.fromkeys(messages))
    parts = [match for message in distinct if (match := re.fullmatch(r"must be (.*?)(, not .*)?", message, re.DOTALL))]
    if len(distinct) == 1 or len(parts) < len(distinct):
        return "; or ".join(distinct)
    return f"must be {' or '.join(part[1] for part in parts)}{max((part[2] or '' for part in parts), key=len)}"
