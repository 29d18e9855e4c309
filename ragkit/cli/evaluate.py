"""`eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.opening import open_pipeline
from ragkit.cli.options import DEFAULT_FILE, AsJson, ConfigFile, Overrides
from ragkit.cli.render import Output, log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.evaluate import Change, Comparison, Dataset, Evaluation


Data = Annotated[Path, typer.Argument(metavar="DATASET", help="A BEIR folder, or a JSONL file of questions.")]
Split = Annotated[str, typer.Option(metavar="NAME", help="The judgments qrels/NAME.tsv of a BEIR folder.")]
Queries = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The queries of a BEIR folder, if not queries.jsonl.", show_default=False)
]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME@K", help="Instead of the usual ones: ndcg@10; repeatable.")
]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="The first N questions.", show_default=False)]
Compare = Annotated[
    Path | None, typer.Option(metavar="OTHER.yaml", help="Ask another configuration the same.", show_default=False)
]
Baseline = Annotated[Path | None, typer.Option(metavar="FILE", help="Hold it against a saved run.", show_default=False)]
FailUnder = Annotated[
    float | None, typer.Option(metavar="DELTA", min=0, help="Fail if a metric lost more than this.", show_default=False)
]
Save = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep the run there: JSON, TREC run and qrels.", show_default=False)
]
Report = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a page with plots and the worst questions.", show_default=False)
]


def evaluate(
    dataset: Data,
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    split: Split = "test",
    queries: Queries = None,
    metrics: Metrics = None,
    limit: Limit = None,
    compare: Compare = None,
    baseline: Baseline = None,
    fail_under: FailUnder = None,
    save: Save = None,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on questions with judgments.

    --set changes the configuration of -c alone, not the one that it is compared with.
    """
    from ragkit.evaluate import against, load

    output = Output()
    before = _checked(metrics, baseline, fail_under, report)
    data = load(dataset, split=split, queries=queries).head(limit)
    if compare:
        _open(compare, output)
    found = _measure(file, overrides, data, metrics, output)
    comparison = _compared(found, compare, data, metrics, output) if compare else None
    changes = against(found, before, fail_under) if before else ()
    told = found.to_dict() | ({"compare": comparison.to_dict()} if comparison else {})
    if baseline:
        told["baseline"] = {"file": str(baseline), "fail_under": fail_under, "changes": [vars(change) for change in changes]}
    _keep(found, comparison, changes, told, save, report)
    if as_json:
        output.json(told)
    else:
        _show(found, comparison, changes, output)
    _finish(found, comparison, changes, baseline, fail_under)


def _finish(
    found: Evaluation, comparison: Comparison | None, changes: Sequence[Change], baseline: Path | None, delta: float | None
) -> None:
    """Say what the numbers do not; exit status 1 if one fell."""
    for note in (*found.notes, *(f"the other: {note}" for note in (comparison.other.notes if comparison else ()))):
        log(note)
    fell = [change.metric for change in changes if change.fell]
    if fell:
        log(f"worse than {baseline} by more than {delta:g}: {', '.join(fell)}")
        raise typer.Exit(1)


def _checked(
    metrics: Sequence[str] | None, baseline: Path | None, fail_under: float | None, report: Path | None
) -> dict[str, Any] | None:
    """Whatever can be known to fail before the questions are asked; gives the baseline."""
    from ragkit.errors import ConfigError, Problem
    from ragkit.evaluate import read_baseline
    from ragkit.evaluate.metrics import parse, require_library

    require_library()
    names = [str(metric) for metric in parse(metrics or ())]
    if report:
        from ragkit.evaluate.report import require_library as require_templates

        require_templates()
    if fail_under is not None and not baseline:
        raise ConfigError([Problem("", "--fail-under needs a run to hold against")], cure="name a saved run with --baseline")
    before = read_baseline(baseline) if baseline else None
    if before and names and not set(names) & set(before["metrics"]):
        raise ConfigError(
            [Problem("", f"{baseline} has none of {', '.join(names)}")], cure=f"it has {', '.join(before['metrics'])}"
        )
    return before


def _open(file: Path, output: Output) -> None:
    """See that the configuration to compare with has an index, rather than after the first one's questions."""
    with open_pipeline(file, None, output) as pipeline, pipeline.reader():
        pass


def _measure(
    file: Path, overrides: Sequence[str] | None, data: Dataset, metrics: Sequence[str] | None, output: Output
) -> Evaluation:
    from ragkit.cli.progress import progress
    from ragkit.evaluate import evaluate as measure

    with open_pipeline(file, overrides, output) as pipeline, progress() as bars:
        return measure(pipeline, data, metrics=metrics or (), progress=bars)


def _compared(found: Evaluation, file: Path, data: Dataset, metrics: Sequence[str] | None, output: Output) -> Comparison:
    """Both on the same questions, one after the other: two open pipelines of one state would be in each other's way."""
    from ragkit.evaluate import compare

    return compare(found, _measure(file, None, data, metrics, output))


def _keep(
    found: Evaluation,
    comparison: Comparison | None,
    changes: Sequence[Change],
    told: dict[str, Any],
    folder: Path | None,
    page: Path | None,
) -> None:
    """Write what is asked for."""
    if folder:
        from ragkit.evaluate import save

        save(found, folder, told)
        if comparison:
            save(comparison.other, folder, stem="compare")
    if page:
        from ragkit.evaluate.report import render

        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render(found, comparison, changes), encoding="utf-8")
        log(f"wrote {page}")


def _show(found: Evaluation, comparison: Comparison | None, changes: Sequence[Change], output: Output) -> None:
    columns = ["metric", "mean", "95 %"]
    rows: list[list[object]] = [
        [name, f"{item.mean:.4f}", _interval(item.ci95)] if item else [name, "not measured", ""]
        for name, item in found.metrics.items()
    ]
    if comparison:
        columns += ["other", "difference", "its 95 %", "p", "better", "worse", "alike"]
        rows = [[*row, *_against(comparison, str(row[0]))] for row in rows]
    if changes:
        before = {change.metric: change for change in changes}
        columns += ["baseline", "change"]
        rows = [[*row, *_change(before.get(str(row[0])))] for row in rows]
    output.table(columns, rows)
    output.line()
    taken = {"this": found, "other": comparison.other} if comparison else {"": found}
    output.fields({"questions": f"{found.queries} of {found.dataset}"})
    for name, item in taken.items():
        if item.latency_ms:
            told = f"{item.latency_ms.p50:.1f} ms median, {item.latency_ms.p95:.1f} ms at the 95th percentile"
            output.line(f"{'latency ' + name:<10} {told}")
    if comparison:
        from ragkit.evaluate.significance import TEST

        output.line(f"p: {TEST}; a positive difference means that this one is better than {comparison.other.name}")


def _against(comparison: Comparison, metric: str) -> list[object]:
    theirs, difference = comparison.other.metrics.get(metric), comparison.differences.get(metric)
    mean = f"{theirs.mean:.4f}" if theirs else "not measured"
    if difference is None:
        return [mean, "", "", "", "", "", ""]
    p = "" if difference.p is None else f"{difference.p:.4f}"
    counts = (difference.gains, difference.losses, difference.ties)
    return [mean, f"{difference.mean:+.4f}", _interval(difference.ci95), p, *counts]


def _change(change: Change | None) -> list[object]:
    if change is None:
        return ["", ""]
    now = "not measured" if change.now is None else f"{change.now - change.before:+.4f}"
    return [f"{change.before:.4f}", f"{now}, fell" if change.fell else now]


def _interval(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:.4f} … {bounds[1]:.4f}" if bounds else ""
