"""`feedback`: what people thought of the answers in the chat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ragkit.cli.opening import open_pipeline
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output

feedback_app = typer.Typer(
    help="Export what people thought as a dataset for `ragkit eval`.", no_args_is_help=True, rich_markup_mode=None
)


@feedback_app.command("export")
def export(
    target: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where to write it, as JSONL; standard output where it is left out.", dir_okay=False),
    ] = None,
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a question per judged answer: what a good one cites is relevant, what a bad one cites is not."""
    from ragkit.errors import ConfigError, Problem
    from ragkit.evaluate.feedback import records

    output = Output()
    if target is not None and target.exists() and not force:
        raise ConfigError([Problem("", "exists already", file=str(target))], cure="--force overwrites it")
    with open_pipeline(file, overrides, output) as pipeline:
        found = list(records(pipeline.conversations.rated()))
    lines = [json.dumps(record, ensure_ascii=False) for record in found]
    if target is not None:
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    counts = {verdict: sum(record["verdict"] == verdict for record in found) for verdict in ("good", "bad")}
    if as_json:
        output.json({**counts, "file": str(target) if target else None, "questions": found})
    elif target is None:
        for line in lines:
            output.line(line)
    else:
        output.line(
            f"{len(found)} judged answers ({counts['good']} good, {counts['bad']} bad) in {target}; next: ragkit eval {target}"
        )
