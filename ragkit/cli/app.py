"""The Typer application: every command, none of its work."""

from __future__ import annotations

from typing import Annotated

import typer

from ragkit.cli import cache, evaluate, feedback, index, query, runs, serving, setup

app = typer.Typer(
    name="ragkit",
    no_args_is_help=True,
    # rich would draw boxes around the help, in a pipe too, and costs half of the start
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from ragkit import __version__

        typer.echo(f"ragkit {__version__}")
        raise typer.Exit


@app.callback()
def ragkit(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Answers from your own documents, with citations.

    Exit status: 0 done, 1 it failed, 2 the configuration or the arguments are wrong, 3 done in part.
    """


app.command()(setup.init)
app.command()(setup.check)
app.command()(setup.schema)
app.command()(setup.config)
app.command()(setup.plugins)
app.command()(index.ingest)
app.command()(index.status)
app.add_typer(index.views_app, name="views")
app.add_typer(runs.runs_app, name="runs")
app.add_typer(cache.cache_app, name="cache")
app.command()(query.search)
app.command()(query.ask)
app.command("eval")(evaluate.evaluate)
app.command()(serving.chat)
app.command()(serving.serve)
app.command()(serving.keys)
app.add_typer(feedback.feedback_app, name="feedback")
