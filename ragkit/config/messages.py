"""What pydantic says of values, in the words of someone who writes YAML. No message repeats a secret or a variable's value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from ragkit.config.reader import Text
from ragkit.host.words import nearest, one_line

MASK = "********"
Loc = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_OURS = "ragkit"
_WORDS = {
    kind: words
    for words, kinds in {
        "is required": "missing",
        "must be text": "string_type",
        "must be a whole number": "int_type int_parsing int_from_float",
        "must be a smaller number": "int_parsing_size",
        "must be a number": "float_type float_parsing",
        "must be true or false": "bool_type bool_parsing",
        "must be a list": "list_type tuple_type set_type frozen_set_type",
        "must be a mapping": "dict_type mapping_type model_type model_attributes_type",
        "must be a path": "path_type",
        "must be null": "none_required",
        "must be {expected}": "literal_error enum",
        "must be more than {gt:g}": "greater_than",
        "must be at least {ge:g}": "greater_than_equal",
        "must be less than {lt:g}": "less_than",
        "must be at most {le:g}": "less_than_equal",
        "must be a multiple of {multiple_of:g}": "multiple_of",
        "must have at least {min_length} entries": "too_short",
        "must have at most {max_length} entries": "too_long",
        "must have at least {min_length} characters": "string_too_short",
        "must have at most {max_length} characters": "string_too_long",
        "{error}": "value_error assertion_error",
    }.items()
    for kind in kinds.split()
}


@dataclass(frozen=True)
class Finding:
    """Something wrong at `loc`, in its final words: with the value, with its key, or with the mapping that lacks the key."""

    loc: Loc
    message: str
    at: Literal["value", "key", "missing"] = "value"


def carried(findings: Sequence[Finding]) -> ValidationError:
    """Findings as a `ValidationError`, which pydantic takes outwards through the components that nest this one."""
    details: list[InitErrorDetails] = [
        {"type": PydanticCustomError(_OURS, "{message}", {"message": one.message, "at": one.at}), "loc": one.loc, "input": None}
        for one in findings
    ]
    return ValidationError.from_exception_data("", details)


def checked(
    model: type[Model], values: Mapping[str, Any], context: Mapping[str, Any], secrets: Collection[str], owner: str = ""
) -> tuple[Model | None, list[Finding]]:
    """`values` as a `model`, or all that is wrong with them; those of `secrets` are never shown.

    `owner` is the component whose options they are.
    """
    numbers = (int, float, int | None, float | None)  # for which pydantic takes true and false too
    found = [
        Finding((key,), f"must be a number, not {shown(value)}")
        for key, value in values.items()
        if isinstance(value, bool) and key in model.model_fields and model.model_fields[key].annotation in numbers
    ]
    told = {one.loc for one in found}
    try:
        return model.model_validate(values, context=dict(context)), found
    except ValidationError as error:
        wrong = [_finding(one, model, secrets, owner) for one in error.errors(include_url=False) if not _echoed(one)]
        return None, found + [one for one in wrong if one.loc[:1] not in told]
    except Exception as error:  # noqa: BLE001 - a plugin's validator may raise anything; it is told like any problem
        return None, [*found, Finding((), f"the options of {owner} cannot be checked: {one_line(error)}")]


def _echoed(error: ErrorDetails) -> bool:
    """Pydantic calls a list too short when its entries are wrong, whatever their number."""
    return error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]


def _finding(error: ErrorDetails, model: type[BaseModel], secrets: Collection[str], owner: str) -> Finding:
    loc, kind, context, value = error["loc"], error["type"], error.get("ctx", {}), error["input"]
    if kind == _OURS:
        return Finding(loc, context["message"], context["at"])
    if kind == "extra_forbidden":
        known = _keys(model, loc[:-1])
        meant = nearest(str(loc[-1]), known)
        what = f"unknown option {loc[-1]!r} of {owner}" if owner else f"unknown key {loc[-1]!r}"
        choice = f"did you mean {meant!r}?" if meant else f"there is: {', '.join(known)}" if known else "it has none"
        return Finding(loc, f"{what}; {choice}", "key")
    message = _WORDS[kind].format(**context) if kind in _WORDS else error["msg"].replace("Input should", "must")
    message = message.replace(" 1 entries", " 1 entry").replace(" 1 characters", " 1 character")
    secret = bool(loc) and loc[0] in secrets
    if message.startswith("must be ") and "error" not in context and not secret:
        message += f", not {shown(value)}"
    if kind == "string_type" and isinstance(value, int | float):
        message += "; put it in quotes"
    if "expected" in context and isinstance(value, str) and not secret:
        meant = nearest(value, re.findall(r"'([^']*)'", context["expected"]))
        message += f"; did you mean {meant!r}?" if meant else ""
    return Finding(loc, message, "missing" if kind == "missing" else "value")


def _keys(model: type[BaseModel] | None, loc: Loc) -> list[str]:
    """The keys of the model to which `loc` leads within `model`; none where that is no model."""
    for part in loc:
        if model and part in model.model_fields:
            model = _model(model.model_fields[str(part)].annotation)
    return [field.alias or key for key, field in model.model_fields.items()] if model else []


def _model(annotation: Any) -> type[BaseModel] | None:
    """The first model in a type such as `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model, get_args(annotation))), None)


def shown(value: Any) -> str:
    """A wrong value as messages have it."""
    if isinstance(value, Text) and value.variables:
        return f"the value of {' and '.join(f'${{{name}}}' for name in value.variables)}"
    if isinstance(value, str):
        return repr(str(value) if len(value) <= 40 else f"{value[:37]}…")
    if isinstance(value, bool | None):
        return "null" if value is None else str(value).lower()
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
