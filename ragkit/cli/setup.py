"""`init`, `check`, `schema`, `config`, `plugins`: what needs neither a state nor an SDK."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.opening import open_config, open_host
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output, log

if TYPE_CHECKING:
    from ragkit.components import Spec
    from ragkit.config import Config
    from ragkit.host import PluginInfo


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of the documents.", file_okay=False)] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a ragkit.yaml that is there.")] = False,
) -> None:
    """Write a commented ragkit.yaml for the documents in a folder."""
    from ragkit.cli.starter import starter
    from ragkit.components import Kind
    from ragkit.errors import ConfigError, Problem

    file = folder / DEFAULT_FILE
    if not folder.is_dir():
        raise ConfigError([Problem("", f"{folder} is no folder")], cure=f"mkdir -p {folder}, and put documents there")
    if file.exists() and not force:
        raise ConfigError([Problem("", "exists already", file=str(file))], cure="--force overwrites it; ragkit check reads it")
    patterns = open_host().component(Kind.SOURCE, "files").options.model_fields["include"].default
    text, found = starter(folder, [pattern.removeprefix("**/*") for pattern in patterns])
    file.write_text(text, encoding="utf-8")
    named = "" if folder == Path() else f" -c {shlex.quote(str(file))}"
    Output().line(f"wrote {file} ({found})\nnext: ragkit ingest{named}, then ragkit ask{named} “…”")


def check(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Validate the configuration against the installed plugins.

    None of their SDKs is imported, no file of the state opened, no host contacted.
    """
    from ragkit.errors import ConfigError

    output = Output()
    try:
        config = open_config(file, overrides)
    except ConfigError as error:
        if not as_json:
            raise
        output.json({"valid": False, "problems": [vars(problem) for problem in error.problems]})
        raise typer.Exit(error.exit_status) from None
    chosen = [(key, spec.use, "" if spec.name == spec.use else spec.name) for key, spec in _chosen(config)]
    if as_json:
        rows = [{"key": key, "use": use, "name": name} for key, use, name in chosen]
        output.json({"valid": True, "problems": [], "components": rows})
        return
    output.line(f"{file}: valid")
    output.table(("key", "use", "name"), chosen)


def schema(as_json: Annotated[bool, typer.Option("--json", hidden=True, help="What it does anyway.")] = False) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from ragkit.config import json_schema

    Output().json(json_schema(open_host()))


def config(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Print the configuration in full, secrets masked.

    Defaults, the files that it extends, the environment and overrides are filled in.
    """
    from ragkit.config import render, to_yaml

    output = Output()
    full = render(open_config(file, overrides))
    if as_json:
        output.json(full)
        return
    output.write(to_yaml(full))


def plugins(as_json: AsJson = False) -> None:
    """List the installed plugins and what they offer."""
    output = Output()
    found = [_plugin(info) for info in open_host().plugins]
    if as_json:
        output.json({"plugins": found})
        return
    columns = ("component", "kind", "distribution", "version", "state", "capabilities")
    rows = [
        (part["name"], part["kind"], plugin["distribution"], plugin["version"], plugin["state"], _brief(part["capabilities"]))
        for plugin in found
        for part in plugin["components"] or [{"name": "", "kind": "", "capabilities": {}}]
    ]
    output.table(columns, rows)
    for plugin in found:
        if plugin["error"]:
            log(f"{plugin['name']} ({plugin['distribution']}) is {plugin['state']}: {plugin['error']}")


def _chosen(config: Config) -> list[tuple[str, Spec]]:
    """The components that a configuration names, under their YAML keys."""
    single = (config.chunker, config.embedding, config.vector_store, config.keyword_store, config.retriever)
    rest = (*config.rerankers, config.answer, *([config.llm] if config.llm else ()))
    return [(spec.kind.yaml_key, spec) for spec in (*config.sources, *config.clean, *single, *rest)]


def _plugin(info: PluginInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "state": info.state,
        "error": info.error,
        "components": [
            {"name": part.name, "kind": kind.value, "summary": part.summary, "capabilities": dict(part.capabilities)}
            for kind, part in info.components
        ],
    }


def _brief(capabilities: dict[str, Any]) -> str:
    """Capabilities in one cell: what is true, and long lists, by their name alone; what is false or empty is left out."""
    return ", ".join(
        _capability(name, value) for name, value in sorted(capabilities.items()) if value not in (False, None, [], ())
    )


def _capability(name: str, value: object) -> str:
    if value is True or (isinstance(value, list | tuple) and len(value) > 4):
        return name
    return f"{name}: {'|'.join(map(str, value)) if isinstance(value, list | tuple) else value}"
