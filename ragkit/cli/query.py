"""`search` and `ask`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.opening import open_pipeline, read_question
from ragkit.cli.options import DEFAULT_FILE, Alpha, AsJson, ConfigFile, Filters, Overrides, Question, TopK
from ragkit.cli.render import Output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ragkit.filters import Filter
    from ragkit.pipeline import Pipeline
    from ragkit.query.answer import Answer

_EXCERPT_CHARS = 240

Explain = Annotated[bool, typer.Option("--explain", help="Show every stage, and each hit's score and rank in it.")]


def search(
    question: Question,
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    k: TopK = None,
    filters: Filters = None,
    alpha: Alpha = None,
    explain: Explain = False,
    as_json: AsJson = False,
) -> None:
    """Show the hits, without an answer."""
    output = Output()
    wanted = _filter(filters or ())
    with open_pipeline(file, overrides, output) as pipeline:
        found = pipeline.search(read_question(question), k=k, filters=wanted, alpha=alpha).to_dict()
    if as_json:
        output.json(found)
        return
    _show_hits(found["hits"], output)
    _show_why_nothing(found, output)
    if explain:
        _show_trace(found, output)


def ask(
    question: Question,
    file: ConfigFile = DEFAULT_FILE,
    overrides: Overrides = None,
    k: TopK = None,
    filters: Filters = None,
    alpha: Alpha = None,
    explain: Explain = False,
    as_json: AsJson = False,
) -> None:
    """Answer with citations, or say that the documents do not."""
    import asyncio

    output = Output()
    wanted = _filter(filters or ())
    settings: dict[str, Any] = {"k": k, "filters": wanted, "alpha": alpha}
    with open_pipeline(file, overrides, output) as pipeline:
        if as_json:
            output.json(pipeline.ask(read_question(question), **settings).to_dict())
            return
        answer = asyncio.run(_stream(pipeline, read_question(question), settings, output)).to_dict()
    output.line()
    if answer["uncited"]:
        output.line("(this answer names no source)")
    for citation in answer["citations"]:
        quote = " ".join(citation["quote"].split())
        output.line(f"[{citation['n']}] {citation['uri']}:{citation['start']}-{citation['end']}\n    “{quote}”")
    _show_why_nothing(answer, output)
    if explain:
        _show_trace(answer, output)


async def _stream(pipeline: Pipeline, question: str, settings: Mapping[str, Any], output: Output) -> Answer:
    """Write the answer as it comes; the last piece is the whole `Answer`."""
    from ragkit.query.answer import Answer

    async for piece in pipeline.astream(question, **settings):
        if isinstance(piece, Answer):
            output.line()
            return piece
        output.write(piece)
    raise RuntimeError("the stream ended without its answer")


def _filter(written: Sequence[str]) -> Filter | None:
    """All of them have to hold."""
    from ragkit.filters import And, parse

    parts = tuple(map(parse, written))
    return And(parts) if len(parts) > 1 else parts[0] if parts else None


def _show_hits(hits: Sequence[Mapping[str, Any]], output: Output) -> None:
    if not hits:
        output.line("no hits")
    for hit in hits:
        text = " ".join(hit["text"].split())
        excerpt = text if len(text) <= _EXCERPT_CHARS else f"{text[:_EXCERPT_CHARS].rstrip()} …"
        output.line(f"{hit['rank']}. {hit['score']:.3f}  {hit['uri']}  ({hit['source']})\n   {excerpt}")


def _show_why_nothing(found: Mapping[str, Any], output: Output) -> None:
    """What may be wrong with a filter that let nothing pass."""
    for stage in found["trace"]["stages"]:
        if stage["name"] == "filter":
            output.line(f"filter: {stage['detail']}")


def _show_trace(found: Mapping[str, Any], output: Output) -> None:
    trace = found["trace"]
    output.line(f"\n{trace['total_ms']:.1f} ms in generation {trace['generation']}")
    columns = ("name", "ms", "in", "out", "status", "detail")
    stages = [{**stage, "ms": f"{stage['ms']:.1f}"} for stage in trace["stages"]]
    output.table(("stage", *columns[1:]), [[stage[column] for column in columns] for stage in stages])
    reasons = Counter(trace["dropped"].values())
    if reasons:
        output.line(f"\ndropped: {', '.join(f'{count} by {reason}' for reason, count in reasons.most_common())}")
    names = list(dict.fromkeys(name for hit in found["hits"] for name in hit["scores"]))
    if not names:
        return
    output.line()
    ranked = [(hit["rank"], hit["uri"], *(_score(hit, name) for name in names)) for hit in found["hits"]]
    output.table(("rank", "uri", *names), ranked)


def _score(hit: Mapping[str, Any], name: str) -> str:
    """A hit's score at a stage, with its rank there: `0.831 #2`."""
    if name not in hit["scores"]:
        return ""
    rank = hit["ranks"].get(name)
    return f"{hit['scores'][name]:.3f}" + (f" #{rank}" if rank is not None else "")
