"""`ingest`, `status`, `views`: bringing the indexes in step, and seeing that they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.cache import told_of
from ragkit.cli.opening import open_pipeline
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output, log, show_error, size

if TYPE_CHECKING:
    from ragkit.ingest.repair import Verification
    from ragkit.ingest.report import IngestReport
    from ragkit.pipeline import Pipeline

views_app = typer.Typer(help="List, verify, repair and drop views.", invoke_without_command=True, rich_markup_mode=None)


def ingest(
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="Only this source, by name; removes nothing; repeatable.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="At most N documents; removes nothing.", show_default=False)
    ] = None,
    allow_removals: Annotated[
        bool, typer.Option("--allow-removals", help="Remove documents even if more than half are gone.")
    ] = False,
    rehash: Annotated[bool, typer.Option("--rehash", help="Read every file, whatever its size and time say.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    views_only: Annotated[bool, typer.Option("--views-only", help="Read no source; bring the views up to date.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then follow the changes in the sources' folders, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the ledger and all views up to date.

    After a crash or an interruption, run it again: it goes on where it was.
    """
    from ragkit.cli.progress import progress

    if watch and (as_json or dry_run or views_only):
        raise typer.BadParameter("goes with none of --json, --dry-run and --views-only", param_hint="--watch")
    output = Output()
    rules: dict[str, Any] = {"only": only or (), "limit": limit, "allow_removals": allow_removals}
    with open_pipeline(file, overrides, output) as pipeline:
        with progress() as bars:
            report = pipeline.ingest(progress=bars, **rules, rehash=rehash, dry_run=dry_run, views_only=views_only)
        if as_json:
            output.json(report.to_dict())
        else:
            _show_report(report, output)
        for note in report.notes:
            log(note)
        if watch:
            _follow(pipeline, rules, output)
            return
    if report.exit_status:
        raise typer.Exit(report.exit_status)


def _follow(pipeline: Pipeline, rules: Mapping[str, Any], output: Output) -> None:
    """Ingest again after every change, until Ctrl-C. An ingest that fails is told, and the next change tries again."""
    from ragkit.errors import RagkitError

    begun = False
    with suppress(KeyboardInterrupt):
        for _ in pipeline.changes(rules["only"]):  # the first one finds what has changed before anybody looked
            try:
                report = pipeline.ingest(**rules)
            except RagkitError as error:
                show_error(error)
            else:
                _show_changes(report, output)
            if not begun:
                log("following the sources' folders; Ctrl-C ends it")
            begun = True


def _show_changes(report: IngestReport, output: Output) -> None:
    """What an ingest has changed, in a line, and what went wrong."""
    counts = ", ".join(f"{count} {what}" for what, count in report.documents.items() if count and what != "unchanged")
    if counts:
        now = time.strftime("%H:%M:%S")
        output.line(f"{now}  {counts}; {report.chunks['total']} chunks, {report.seconds:.1f} s")
    for failure in report.failures:
        output.line(f"failed: {failure.uri}: {failure.error}")
    for note in report.notes:
        log(note)


def status(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Show documents, chunks, and how far each view has come."""
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        told = pipeline.status().to_dict()
    if as_json:
        output.json(told)
        return
    output.fields(
        {
            "name": told["name"],
            "state": told["state"],
            "generation": told["generation"] or "none yet",
            "documents": told["documents"],
            "chunks": f"{told['chunks']}, {told['truncated']} of them longer than the embedding reads",
            "caches": told_of(told["cache"], told["cache"]["scores"]),
        }
    )
    if told["detail"]:
        output.line(told["detail"])
    if told["views"]:
        output.line()
        _show_views(told["views"], output)


@views_app.callback()
def views(context: typer.Context, file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """List, verify, repair and drop views; without a command, list them."""
    if context.invoked_subcommand is None:
        list_views(file, overrides, as_json)


@views_app.command("list")
def list_views(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """List the views of every generation."""
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        found = pipeline.status().to_dict()["views"]
    if as_json:
        output.json({"views": found})
    else:
        _show_views(found, output)


@views_app.command("verify")
def verify(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Compare each store with the ledger, id by id.

    Exit status 1 if one differs; ragkit views repair mends it.
    """
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        found = pipeline.verify_views()
    _show_verified(found, output, as_json)


@views_app.command("repair")
def repair(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Mend what has drifted, from the ledger.

    Vectors come from the embedding cache where it has them. A collection of another state is never touched.
    """
    from ragkit.cli.progress import progress

    output = Output()
    with open_pipeline(file, overrides, output) as pipeline, progress() as bars:
        found = pipeline.repair_views(progress=bars)
    _show_verified(found, output, as_json)


@views_app.command("drop")
def drop(file: ConfigFile = DEFAULT_FILE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Drop the views that no longer answer.

    Those of the live generation stay, and those that another process still asks; it says which.
    """
    output = Output()
    with open_pipeline(file, overrides, output) as pipeline:
        stayed = pipeline.drop_views()
        left = pipeline.status().to_dict()["views"]
    if as_json:
        output.json({"views": left, "notes": stayed})
        return
    _show_views(left, output)
    for note in stayed:
        log(note)


def _show_views(found: Sequence[Mapping[str, Any]], output: Output) -> None:
    if not found:
        output.line("no views yet: ragkit ingest")
        return
    columns = ("kind", "name", "generation", "state", "count", "lag", "fingerprint", "size_bytes", "detail")
    short = [{**view, "fingerprint": view["fingerprint"][:8], "size_bytes": size(view["size_bytes"])} for view in found]
    heads = ("view", "store", *columns[2:-2], "size", "detail")
    output.table(heads, [[view[column] for column in columns] for view in short])
    copies = [(view, copy) for view in found for copy in view["copies"]]
    if not all(copy["here"] for _, copy in copies):
        output.line()
        rows = [_of_machine(view, copy) for view, copy in copies]
        output.table(("machine", "view", "store", "generation", "up to", "last seen"), rows)


def _of_machine(view: Mapping[str, Any], copy: Mapping[str, Any]) -> list[object]:
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(copy["seen"]))
    host = f"{copy['host']} (this one)" if copy["here"] else copy["host"]
    return [host, view["kind"], view["name"], view["generation"], copy["applied"], seen]


def _show_verified(found: Sequence[Verification], output: Output, as_json: bool) -> None:
    """What verifying found, and exit status 1 if it is not what should be."""
    columns = ("kind", "name", "state", "missing", "extra", "detail")
    if as_json:
        output.json({"views": [asdict(view) for view in found]})
    else:
        output.table(("view", "store", *columns[2:]), [[getattr(view, column) for column in columns] for view in found])
    if not all(view.sound for view in found):
        raise typer.Exit(1)


def _show_report(report: IngestReport, output: Output) -> None:
    told = report.to_dict()
    documents, chunks = told["documents"], told["chunks"]
    if told["dry_run"]:
        output.line("dry run: nothing was written")
    output.fields(
        {
            "documents": ", ".join(f"{count} {what}" for what, count in documents.items()),
            "chunks": ", ".join(f"{count} {what}" for what, count in chunks.items()),
            "embedded": f"{told['embedded']}, and {told['cache_hits']} from the cache{_layers(told['cache'])}",
            **{f"{view['kind']} view": _standing(view) for view in told["views"]},
            "seconds": f"{told['seconds']:.1f}",
        }
    )
    for failure in told["failures"]:
        output.line(f"failed: {failure['uri']}: {failure['error']}")


def _layers(hits: Mapping[str, int]) -> str:
    """Which layers of the cache gave how many vectors."""
    told = ", ".join(f"{name} {count}" for name, count in hits.items() if count)
    return f" ({told})" if told else ""


def _standing(view: Mapping[str, Any]) -> str:
    return f"{view['name']}" if view["count"] is None else f"{view['count']} chunks in {view['name']}"
