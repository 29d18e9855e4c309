"""The generated parts of the documentation; `make docs` writes them, a test compares them.

A part stands in a page between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from ragkit.components import Component, Kind, Nested, Options, Spec
from ragkit.config.settings import Settings
from ragkit.host import Host

ROOT = Path(__file__).parent.parent.parent
PAGES = ("README.md", "docs/cli.md", "docs/configuration.md")
COMMANDS = (
    "init", "check", "schema", "config", "plugins", "ingest", "status", "views", "views list", "views verify", "views repair",
    "views drop", "runs", "runs show", "runs compare", "cache", "cache clear", "search", "ask", "eval",
)  # fmt: skip
FIRST_PARTY = (
    "ragkit", "ragkit-bm25", "ragkit-chroma", "ragkit-faiss", "ragkit-huggingface", "ragkit-ollama", "ragkit-openai",
    "ragkit-pgvector", "ragkit-pinecone", "ragkit-qdrant", "ragkit-tantivy", "ragkit-web",
)  # fmt: skip


def page(name: str) -> str:
    """The page as it should be."""
    parts = {"keys": keys, "components": components, "commands": commands, "help": lambda: fenced(help_of())}
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{parts[match[2]]()}\n{match[3]}",
        (ROOT / name).read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )


def help_of(*command: str) -> str:
    """What the command prints with `--help` in a pipe of 80 columns."""
    script = "from ragkit.cli import main; main()"
    environment = {"COLUMNS": "80", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    call = [sys.executable, "-c", script, *command, "--help"]
    return subprocess.run(call, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def commands() -> str:
    return "\n\n".join(f"## ragkit {command}\n\n{fenced(help_of(*command.split()))}" for command in COMMANDS)


def keys() -> str:
    return table(("key", "default", "is"), settings(Settings))


def settings(model: type[BaseModel], prefix: str = "") -> list[tuple[str, str, str]]:
    """A row for each key; those of a part follow it as `part.key`."""
    rows = []
    for name, field in model.model_fields.items():
        inner = [part for part in (field.annotation, *typing.get_args(field.annotation)) if isinstance(part, type)]
        parts = [part for part in inner if issubclass(part, BaseModel) and not issubclass(part, Spec)]
        default = "*required*" if field.is_required() else "" if isinstance(field.default, BaseModel) else shown(field.default)
        rows.append((f"`{prefix}{name}`", default, field.description or ""))
        rows += [row for part in parts for row in settings(part, f"{prefix}{name}.")]
    return rows


def components() -> str:
    host = Host()
    parts = []
    for kind in Kind:
        for plugin in host.plugins:
            offered = [component for of, component in plugin.components if of is kind]
            if plugin.distribution in FIRST_PARTY:
                parts += [described(kind, component, plugin.distribution) for component in offered]
    return "\n\n".join(parts)


def described(kind: Kind, component: Component, distribution: str) -> str:
    home = "" if distribution == "ragkit" else f" ({distribution})"
    heading = f"### `{kind.yaml_key}: {component.name}`{home}\n\n{sentence(component.summary)}"
    fields = component.options.model_fields
    rows = [
        (
            f"`{name}`",
            words(component.options, name),
            shown(field.get_default()),
            component.options.role(name).value,
            sentence(field.description),
        )
        for name, field in fields.items()
    ]
    return f"{heading}\n\n" + (table(("option", "type", "default", "role", "means"), rows) if rows else "It has no options.")


def sentence(text: str | None) -> str:
    text = (text or "").strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".") if text else ""


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def shown(value: Any) -> str:
    if value is PydanticUndefined:
        return "*required*"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value != "" else ""


def words(options: type[Options], name: str) -> str:
    field = options.model_fields[name]
    if any(isinstance(part, Nested) for part in field.metadata):
        return "component"
    limits = [f"{sign} {getattr(part, at)}" for part in field.metadata for at, sign in _SIGNS.items() if hasattr(part, at)]
    return ", ".join([in_words(field.annotation), *limits])


def in_words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return "component" if any(isinstance(part, Nested) for part in arguments) else in_words(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(argument) for argument in arguments if argument is not type(None))
    if origin in (list, tuple, set, frozenset):
        return f"list of {in_words(arguments[0])}"
    if origin is dict:
        return "mapping"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_WORDS = {int: "integer", float: "number", str: "text", bool: "`true` or `false`", Path: "path", SecretStr: "secret text"}


if __name__ == "__main__":
    for written in PAGES:
        (ROOT / written).write_text(page(written), encoding="utf-8")
