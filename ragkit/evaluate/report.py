"""The report of `ragkit eval --report`: one page that asks for nothing else, neither script nor style nor font."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ragkit
from ragkit.errors import RagkitError
from ragkit.evaluate import charts
from ragkit.evaluate.comparison import Change, Comparison
from ragkit.evaluate.results import Evaluation, Example
from ragkit.evaluate.significance import INTERVAL, TEST

_HITS_SHOWN = 5
_JUDGED_SHOWN = 10
_MOVED_SHOWN = 10
_EXCERPT_CHARS = 300
_TEMPLATE = Path(__file__).with_name("report.html.jinja")


def render(evaluation: Evaluation, comparison: Comparison | None = None, changes: Sequence[Change] = ()) -> str:
    """The page as HTML; everything that comes from documents and questions is escaped."""
    evaluations = [evaluation, *([comparison.other] if comparison else [])]
    first = next(iter(evaluation.metrics))
    bars, height = charts.metric_bars(evaluations)
    moved = comparison.per_query(first) if comparison else []
    template = _environment().from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return str(
        template.render(
            version=ragkit.__version__,
            charts=charts,
            evaluations=evaluations,
            comparison=comparison,
            changes=changes,
            interval=INTERVAL,
            test=TEST,
            first=first,
            bars=bars,
            bars_height=height,
            histograms=[charts.latencies(item) for item in evaluations],
            gains=charts.gains([difference for _, _, difference in moved]),
            gained=[item for item in moved[:_MOVED_SHOWN] if item[2] > 0],
            lost=[item for item in reversed(moved[-_MOVED_SHOWN:]) if item[2] < 0],
            worst=[_told(example, first) for example in evaluation.worst],
        )
    )


def require_library() -> Any:
    """The template library. Raises `RagkitError` with the command that installs it."""
    try:
        import jinja2
    except ImportError as error:
        raise RagkitError("a report needs jinja2, which is not installed", cure="pip install 'ragkit[eval]'") from error
    return jinja2


def _environment() -> Any:
    library = require_library()
    return library.Environment(autoescape=True, undefined=library.StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _told(example: Example, metric: str) -> dict[str, Any]:
    """A question as the template shows it: what is relevant and where it was found, the first hits, the stages."""
    query, found = example.query, example.found.to_dict()
    ranks = {name: rank for rank, (name, _) in enumerate(query.ranking, 1)}
    wanted = [name for name, grade in query.grades.items() if grade > 0]
    by_name: dict[str, Mapping[str, Any]] = {}
    for hit in found["hits"]:
        for name in _names(hit):
            by_name.setdefault(name, hit)
    return {
        "text": query.text,
        "id": query.id,
        "value": query.metrics[metric],
        "judged": [(name, ranks.get(name), _stages(by_name.get(name))) for name in wanted[:_JUDGED_SHOWN]],
        "more": max(0, len(wanted) - _JUDGED_SHOWN),
        "hits": [
            {**hit, "excerpt": _excerpt(hit["text"]), "stages": _stages(hit), "relevant": bool(_names(hit) & set(wanted))}
            for hit in found["hits"][:_HITS_SHOWN]
        ],
        "trace": found["trace"],
    }


def _names(hit: Mapping[str, Any]) -> set[str]:
    """Every name under which a hit can be judged."""
    return {str(hit["metadata"].get("_id", hit["uri"])), hit["uri"], hit["chunk_id"], hit["document_id"]}


def _stages(hit: Mapping[str, Any] | None) -> str:
    """A hit's score and rank at every stage: `dense 0.831 #2`."""
    if hit is None:
        return ""
    ranks = hit["ranks"]
    return ", ".join(
        f"{stage} {score:.3f}" + (f" #{ranks[stage]}" if stage in ranks else "") for stage, score in hit["scores"].items()
    )


def _excerpt(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _EXCERPT_CHARS else f"{flat[:_EXCERPT_CHARS].rstrip()} …"
