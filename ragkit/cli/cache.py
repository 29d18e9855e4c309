"""`cache`: what is kept of what can be computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ragkit.cli.opening import open_pipeline
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output, size

cache_app = typer.Typer(help="Show the caches, or clear them.", invoke_without_command=True, rich_markup_mode=None)


@cache_app.callback()
def cache(context: typer.Context, file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Show how many vectors and scores are kept, what they weigh, and how often they helped; or clear them."""
    if context.invoked_subcommand is not None:
        return
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        told = pipeline.caches()
    if as_json:
        output.json(told)
        return
    vectors, scores = told["vectors"], told["scores"]
    rows = [_row(f"vectors: {layer['name']}", layer) for layer in vectors["layers"]]
    output.table(("cache", "entries", "size", "hits", "detail"), [*rows, _row("scores", scores)])
    output.line()
    output.line(told_of(vectors, scores))


@cache_app.command("clear")
def clear(
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The vectors of living chunks too: another store or a repair then embeds anew.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Forget the scores of rerankers, and the vectors of questions and of chunks that are gone.

    In Redis it forgets the vectors of every machine.
    """
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        gone = pipeline.clear_caches(everything=everything)
    if as_json:
        output.json({"cleared": gone})
    else:
        output.line(f"forgotten: {gone['vectors']} vectors, {gone['scores']} scores")


def told_of(vectors: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """How much is kept and how often it helped, in a line."""
    told = [f"{vectors['entries']} vectors", *_known("vectors", sum(_hits(vectors["layers"])), vectors["misses"])]
    if scores["hits"] + scores["misses"]:
        told += [f"{scores['entries']} scores of rerankers", *_known("scores", scores["hits"], scores["misses"])]
    return "; ".join(told)


def _known(what: str, hits: int, misses: int) -> list[str]:
    return [f"{hits} of {hits + misses} {what} known when asked"] if hits + misses else []


def _hits(layers: Sequence[Mapping[str, Any]]) -> list[int]:
    return [layer["hits"] for layer in layers]


def _row(name: str, layer: Mapping[str, Any]) -> tuple[object, ...]:
    detail = ""
    if "address" in layer:
        detail = f"{layer['address']} {'answers' if layer['answers'] else 'does not answer'}"
    return name, layer.get("entries"), size(layer.get("bytes")), layer["hits"], detail
