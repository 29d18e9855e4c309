"""`runs`: the ingests of the past, and what differs between two of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ragkit.cli.opening import open_pipeline
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output

runs_app = typer.Typer(help="List past ingests, show one, or compare two.", invoke_without_command=True, rich_markup_mode=None)

Number = Annotated[int, typer.Argument(metavar="RUN", min=1, help="The run's number.")]


@runs_app.callback()
def runs(
    context: typer.Context,
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The last N ingests.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List past ingests, the last one first; show one, or compare two."""
    if context.invoked_subcommand is not None:
        return
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        found = pipeline.runs(limit)
    if as_json:
        output.json({"runs": found})
        return
    if not found:
        output.line("no ingest yet: ragkit ingest")
        return
    heads = ("run", "started", "status", "added", "updated", "unchanged", "removed", "failed", "chunks", "embedded", "seconds")
    output.table((*heads, "configuration"), [_row(run) for run in found])


@runs_app.command("show")
def show(number: Number, file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Show everything that was recorded of an ingest."""
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        run = pipeline.run(number)
    if as_json:
        output.json(run)
    else:
        output.fields(dict(_facts(run)))


@runs_app.command("compare")
def compare(
    first: Number, second: Number, file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Show what differs between two ingests."""
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        both = [pipeline.run(number) for number in (first, second)]
    one, other = (dict(_facts(run)) for run in both)
    rows = [(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])]
    differing = [row for row in rows if row[1] != row[2]]
    if as_json:
        output.json({"differences": [{"what": name, str(first): here, str(second): there} for name, here, there in differing]})
    else:
        output.table(
            ("", f"run {first}", f"run {second}"), [(name, _shown(here), _shown(there)) for name, here, there in differing]
        )


def _row(run: Mapping[str, Any]) -> tuple[object, ...]:
    report = run["report"]
    documents, chunks = report.get("documents", {}), report.get("chunks", {})
    counts = (documents.get(name) for name in ("added", "updated", "unchanged", "removed", "failed"))
    seconds = report.get("seconds")
    return (
        run["id"], _moment(run["started"]), run["status"], *counts, chunks.get("total"), report.get("embedded"),
        None if seconds is None else f"{seconds:.1f}", run["fingerprint"][:8],
    )  # fmt: skip


def _facts(run: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Name and value of everything, as `part.name`; lists by their length."""
    yield "run", run["id"]
    yield "started", _moment(run["started"])
    yield "status", run["status"]
    yield "configuration", run["fingerprint"]
    yield from _flat("", run["report"])


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        elif name == "views":
            for view in value:
                yield f"{view['kind']} view", f"{view['count']} chunks in {view['name']}"
        elif name == "failures":
            for failure in value:
                yield f"failed: {failure['uri']}", failure["error"]
        elif isinstance(value, list):
            yield f"{prefix}{name}", "; ".join(map(str, value))
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
