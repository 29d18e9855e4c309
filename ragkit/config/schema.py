"""The JSON Schema (draft 7, which editors read best) of a configuration with the components that are installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import core_schema

from ragkit.components import Component, Kind
from ragkit.config.settings import DEFAULTS, Settings
from ragkit.host import NAMED_KINDS, Host, label

Json = dict[str, Any]

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_NARROW = {"pattern", "minLength", "maxLength", "format", "enum", "const"}


def json_schema(host: Host) -> Json:
    """The schema as data. Every kind is a definition of its own: the bare names, or `use` with the options of one."""
    definitions: Json = {}
    top = _schema_of(Settings, "settings", definitions)["properties"]
    for kind in Kind:
        names = list(host.components(kind))
        parts = [_ref(f"{kind.value}.{name}") for name in names]
        for name, component in host.components(kind).items():
            definitions[f"{kind.value}.{name}"] = _component(kind, component, definitions)
        bare: list[Json] = [{"enum": names, "description": f"The {label(kind)} with its defaults."}] if names else []
        full = [{"allOf": [part], "required": ["use"]} for part in parts]
        told = f"The {label(kind)}: a name, or `use` with options."
        definitions[kind.value] = {"description": told, "anyOf": [*bare, _VARIABLE, *full]}
        if (key := kind.yaml_key) in DEFAULTS:  # `use` may be left out of what is there by default, or of what a base file has
            described = {part: top[key][part] for part in ("description", "default") if part in top[key]}
            nothing = [] if DEFAULTS[key] else [{"type": "null"}]
            top[key] = {"anyOf": [_ref(kind.value), *parts, *nothing], **described}
    for key, part in top.items():
        if "$ref" in part and key not in DEFAULTS:  # draft 7 reads nothing beside a reference
            top[key] = {
                "allOf": [_ref(part.pop("$ref").removeprefix("#/$defs/"))],
                "description": Settings.model_fields[key].description,
                **part,
            }
    del top["name"]["default"]
    extends = {"type": "string", "description": "A YAML file that this one is laid over, relative to this file."}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ragkit",
        "description": "A configuration of ragkit: from documents to cited answers.",
        "type": "object",
        "properties": {**top, "extends": extends},
        "additionalProperties": False,
        "anyOf": [{"required": ["sources"]}, {"required": ["extends"]}],
        "$defs": definitions,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _component(kind: Kind, component: Component, definitions: Json) -> Json:
    options = _schema_of(component.options, f"{kind.value}.{component.name}", definitions)
    use = {"const": component.name, "description": component.summary or f"The {label(kind)} {component.name}."}
    name = {"type": "string", "minLength": 1, "description": f"What this {label(kind)} is called; unique."}
    properties = {"use": use, **({"name": name} if kind in NAMED_KINDS else {}), **options["properties"]}
    return options | {"title": component.name, "description": component.summary, "properties": properties}


def _schema_of(model: type[BaseModel], prefix: str, definitions: Json) -> Json:
    """The schema of a model; what it refers to goes to `definitions` under names that start with `prefix`."""
    written = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}", schema_generator=_Generator)
    schema: Json = json.loads(json.dumps(written), object_hook=_referred)
    definitions |= {f"{prefix}.{name}": inner for name, inner in schema.pop("$defs", {}).items()}
    return schema


def _referred(part: Json) -> Json:
    """A nested component as a reference to the definition of its kind."""
    kind = part.pop("x-ragkit-kind", None)
    return {"allOf": [_ref(kind)], **part} if kind else part


class _Generator(GenerateJsonSchema):
    """Takes any option class: what has no JSON form is left open, without a warning.

    `${…}` may stand wherever something else than any text is wanted.
    """

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's

    def build_schema_type_to_method(self) -> Any:
        return {kind: partial(self._opened, method) for kind, method in super().build_schema_type_to_method().items()}

    @staticmethod
    def _opened(method: Callable[[Any], Json], schema: Any) -> Json:
        found = method(schema)
        narrow = found.get("type") in ("integer", "number", "boolean") or not _NARROW.isdisjoint(found)
        return {"anyOf": [found, _VARIABLE]} if narrow else found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> Json:
        return {}
