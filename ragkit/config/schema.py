"""The JSON Schema (draft 7, which editors read best) of a configuration with the components that are installed."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import core_schema

from ragkit.components import Component, Kind
from ragkit.config.settings import SINGLE, Settings, default_use
from ragkit.host import NAMED_KINDS, Host, label

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_SCALARS = {"integer", "number", "boolean"}
_RULES = {"pattern", "minLength", "maxLength", "enum", "const"}

Json = dict[str, Any]


def json_schema(host: Host) -> Json:
    """The schema as data. Every kind is a definition of its own: the bare names, or `use` with the options of one."""
    definitions: Json = {}
    for kind in Kind:
        components = host.components(kind)
        for name, component in components.items():
            definitions[f"{kind.value}.{name}"] = _component(kind, component, definitions)
        definitions[kind.value] = _kind(kind, list(components))
    top = _schema_of(Settings, "settings", definitions)
    for key, kind in SINGLE.items():  # `use` may be left out of what is there by default, or of what a base file has
        described = {part: value for part, value in top["properties"][key].items() if part in ("description", "default")}
        nothing = [] if default_use(key) else [{"type": "null"}]
        variants = [_ref(f"{kind.value}.{name}") for name in host.components(kind)]
        top["properties"][key] = {"anyOf": [_ref(kind.value), *variants, *nothing], **described}
    del top["properties"]["name"]["default"]
    extends = {"type": "string", "description": "A YAML file that this one is laid over, relative to this file."}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ragkit",
        "description": "A configuration of ragkit: from documents to cited answers.",
        "type": "object",
        "properties": {**top["properties"], "extends": extends},
        "additionalProperties": False,
        "anyOf": [{"required": ["sources"]}, {"required": ["extends"]}],
        "$defs": definitions,
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}


def _kind(kind: Kind, names: list[str]) -> Json:
    bare: list[Json] = [{"enum": names, "description": f"The {label(kind)} with its defaults."}] if names else []
    full = [{"allOf": [_ref(f"{kind.value}.{name}")], "required": ["use"]} for name in names]
    return {"description": f"The {label(kind)}: a name, or `use` with options.", "anyOf": [*bare, _VARIABLE, *full]}


def _component(kind: Kind, component: Component, definitions: Json) -> Json:
    options = _schema_of(component.options, f"{kind.value}.{component.name}", definitions)
    use = {"const": component.name, "description": component.summary or f"The {label(kind)} {component.name}."}
    name = {"type": "string", "minLength": 1, "description": f"What this {label(kind)} is called; unique."}
    named = {"name": name} if kind in NAMED_KINDS else {}
    schema = {
        "title": component.name,
        "description": component.summary,
        "type": "object",
        "properties": {"use": use, **named, **options.get("properties", {})},
        "additionalProperties": options.get("additionalProperties", False),
        "required": options.get("required", []),
    }
    return {key: value for key, value in schema.items() if value not in ("", [])}


def _schema_of(model: type[BaseModel], prefix: str, definitions: Json) -> Json:
    """The schema of a model; what it refers to goes to `definitions` under names that start with `prefix`."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}", schema_generator=_Generator)
    for name, inner in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = _opened(inner)
    opened: Json = _opened(schema)
    return opened


def _opened(schema: Any) -> Any:
    """The schema with components as references, and with `${…}` wherever something else than text is wanted."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "x-ragkit-kind" in schema:
        rest = {key: value for key, value in schema.items() if key in ("description", "default")}
        return {"allOf": [_ref(schema["x-ragkit-kind"])], **rest}
    changed = {key: _mapped(key, value) for key, value in schema.items() if key not in ("title", "format", "writeOnly")}
    if schema.get("type") in _SCALARS or not _RULES.isdisjoint(schema):
        outer = {key: changed.pop(key) for key in ("description", "default") if key in changed}
        return {"anyOf": [changed, _VARIABLE], **outer}
    return changed


def _mapped(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties") and isinstance(value, dict):
        return {name: _opened(inner) for name, inner in value.items()}
    if key in ("items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties", "not"):
        return _opened(value)
    return value


class _Generator(GenerateJsonSchema):
    """Takes any option class: what has no JSON form is left open, without a warning."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> Json:
        return {}
