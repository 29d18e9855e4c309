"""Holds what passes between a client and a test server against a vendor's OpenAPI description.

OpenAPI 3.0 is close to JSON Schema, and not it: `nullable`, formats that are ranges, objects that may hold anything beside what
is described. `_schema` makes JSON Schema of it, and is stricter than the letter in two places. A bare `{nullable: true}`, which
Rust's generators write for "or null", would allow everything. And an object that lists its properties may have no others, so that
a misspelt option is found.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema_rs
import orjson
import yaml

_METHODS = ("get", "put", "post", "patch", "delete", "head", "options")
_ROOT = "urn:openapi"
_RANGES = {
    "uint": (0, None), "uint8": (0, 2**8 - 1), "uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1),
    "int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1),
}  # fmt: skip


def specs_folder() -> Path | None:
    """The folder of vendors' descriptions: $RAGKIT_SPECS, else ../shared/specs beside the checkout; None if there is none."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "specs"
    folder = Path(os.environ.get("RAGKIT_SPECS", beside))
    return folder if folder.is_dir() else None


class Contract:
    """One description (`.json` or `.yaml`). Whatever is not as it says stands in `violations`. May be used by many threads.

    With `closed=False` objects may have properties that the description does not list.
    """

    def __init__(self, spec: Path, *, closed: bool = True) -> None:
        self.violations: list[str] = []
        document = _load(spec, closed)
        self._registry = jsonschema_rs.Registry([(_ROOT, document)])
        self._document = document
        self._routes = list(_routes(document))
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def request(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> None:
        """Hold a request against the description. `path` comes without its query, `query` is that, as it was sent."""
        where = f"{method} {path}"
        found = self._operation(method, path)
        if found is None:
            self.violations.append(f"{where}: there is no such operation")
            return
        pointer, operation, segments = found
        given = {"path": segments, "query": _pairs(query), "header": {key.lower(): value for key, value in headers.items()}}
        known = {"path": set(segments)}
        for at, parameter in self._parameters(pointer, operation):
            place, name = parameter["in"], parameter["name"]
            known.setdefault(place, set()).add(name)
            value = given.get(place, {}).get(name.lower() if place == "header" else name)
            if value is not None:
                self._check(f"{at}/schema", _typed(value, self._at(f"{at}/schema"), self), f"{where}: {place} {name}")
            elif parameter.get("required"):
                self.violations.append(f"{where}: the {place} parameter {name} is missing")
        unknown = given["query"].keys() - known.get("query", set())
        self.violations += [f"{where}: unknown query parameter {key}" for key in sorted(unknown)]
        self._body(f"{pointer}/requestBody", operation.get("requestBody"), headers, body, where)

    def response(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Hold the answer to a request against the description."""
        where = f"{method} {path} -> {status}"
        found = self._operation(method, path)
        if found is None:
            self.violations.append(f"{where}: there is no such operation")
            return
        pointer, operation, _ = found
        for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if key in operation["responses"]:
                self._body(f"{pointer}/responses/{key}", operation["responses"][key], headers, body, where)
                return
        self.violations.append(f"{where}: no such status is described")

    def _operation(self, method: str, path: str) -> tuple[str, Any, dict[str, str]] | None:
        for route, pointer, template in self._routes:
            match = route.fullmatch(path)
            operation = template.get(method.lower())
            if match is not None and operation is not None:
                names = re.findall(r"{([^}]+)}", pointer)
                segments = {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)}
                return f"{pointer}/{method.lower()}", operation, segments
        return None

    def _parameters(self, pointer: str, operation: Any) -> Iterator[tuple[str, Any]]:
        shared = pointer.rpartition("/")[0]
        for place, listed in ((shared, self._at(shared).get("parameters")), (pointer, operation.get("parameters"))):
            for number, parameter in enumerate(listed or ()):
                yield self._followed(f"{place}/parameters/{number}", parameter)

    def _body(self, pointer: str, described: Any, headers: Mapping[str, str], body: bytes, where: str) -> None:
        if described is None:
            if body:
                self.violations.append(f"{where}: a body where none is described")
            return
        pointer, described = self._followed(pointer, described)
        content = described.get("content") or {}
        if not body:
            if content and described.get("required", "responses" in pointer):
                self.violations.append(f"{where}: the body is missing")
            return
        sent = {key.lower(): value for key, value in headers.items()}.get("content-type", "").partition(";")[0].strip().lower()
        if sent not in content:
            self.violations.append(f"{where}: content of type {sent or 'none'}, described are {sorted(content)}")
            return
        if not sent.endswith("json") or "schema" not in content[sent]:
            return
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            self.violations.append(f"{where}: no JSON: {error}")
            return
        self._check(f"{pointer}/content/{_escape(sent)}/schema", value, where)

    def _check(self, pointer: str, value: Any, where: str) -> None:
        validator = self._validators.get(pointer)
        if validator is None:
            schema = self._at(pointer)
            validator = jsonschema_rs.Draft202012Validator(schema, registry=self._registry, validate_formats=True)
            self._validators[pointer] = validator
        if not validator.is_valid(value):
            for error in validator.iter_errors(value):
                self.violations.append(f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message[:400]}")

    def _followed(self, pointer: str, value: Any) -> tuple[str, Any]:
        while isinstance(value, dict) and "$ref" in value:
            pointer = value["$ref"].partition("#")[2]
            value = self._at(pointer)
        return pointer, value

    def _at(self, pointer: str) -> Any:
        value = self._document
        for escaped in pointer.split("/")[1:]:
            part = escaped.replace("~1", "/").replace("~0", "~")
            value = value[int(part)] if isinstance(value, list) else value[part]
        return value


@cache
def _load(spec: Path, closed: bool) -> Any:
    text = spec.read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = json.loads(text) if spec.suffix == ".json" else json.loads(json.dumps(yaml.load(text, loader), default=str))
    return _schemas(document, closed)


def _schemas(part: Any, closed: bool) -> Any:
    """A copy of a description in which every schema is JSON Schema."""
    if isinstance(part, list):
        return [_schemas(item, closed) for item in part]
    if not isinstance(part, dict):
        return part
    copy = {}
    for key, value in part.items():
        if key == "schema":
            copy[key] = _schema(value, closed)
        elif key == "schemas":
            copy[key] = {name: _schema(schema, closed) for name, schema in value.items()}
        elif key in ("example", "examples"):
            continue
        else:
            copy[key] = _schemas(value, closed)
    return copy


def _schema(schema: Any, closed: bool) -> Any:
    """The JSON Schema that an OpenAPI 3.0 schema stands for."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"{_ROOT}{schema['$ref']}"}
    if set(schema) <= {"nullable", "description"} and schema.get("nullable"):
        return {"type": "null"}
    made = {key: value for key, value in schema.items() if key in _PLAIN}
    for key in ("items", "not", "additionalProperties"):
        if key in schema:
            made[key] = _schema(schema[key], closed)
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            # A part of a whole does not list all of its properties.
            made[key] = [_schema(part, closed and key != "allOf") for part in schema[key]]
    if "properties" in schema:
        made["properties"] = {name: _schema(part, closed) for name, part in schema["properties"].items()}
        if closed and made["properties"] and not {"additionalProperties", "allOf", "anyOf", "oneOf"} & set(schema):
            made["additionalProperties"] = False
    for limit, edge in zip(("minimum", "maximum"), _RANGES.get(schema.get("format", ""), (None, None)), strict=True):
        if edge is not None:
            made.setdefault(limit, edge)
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


_PLAIN = frozenset(
    ("type", "enum", "format", "pattern", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
     "uniqueItems", "minProperties", "maxProperties", "required")
)  # fmt: skip


def _routes(document: Any) -> Iterator[tuple[re.Pattern[str], str, Any]]:
    """Each path as a pattern, those with fewer placeholders first."""
    for path in sorted(document["paths"], key=lambda path: (path.count("{"), path)):
        pattern = "".join("([^/]+)" if part.startswith("{") else re.escape(part) for part in re.split(r"({[^}]+})", path))
        yield re.compile(pattern), f"/paths/{_escape(path)}", document["paths"][path]


def _escape(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _pairs(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        found[key] = value if key not in found else [*(found[key] if isinstance(found[key], list) else [found[key]]), value]
    return found


def _typed(value: Any, schema: Any, contract: Contract) -> Any:
    """A parameter's text as the type that is described; as it is where it is none of that type."""
    if "$ref" in schema:
        return _typed(value, contract._at(schema["$ref"].partition("#")[2]), contract)
    kinds = [part for key in ("anyOf", "oneOf") for part in schema.get(key, ())]
    if kinds:
        typed = [_typed(value, part, contract) for part in kinds]
        return next((one for one in typed if one != value), value)
    kind = schema.get("type")
    if kind == "array":
        return [_typed(one, schema.get("items", {}), contract) for one in (value if isinstance(value, list) else [value])]
    if kind in ("boolean", "integer", "number") and isinstance(value, str):
        try:
            plain = json.loads(value)
        except ValueError:
            return value
        return plain if isinstance(plain, int | float) else value
    return value
