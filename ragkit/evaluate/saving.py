"""A run on disk: `eval.json`, and `run.trec` with `qrels.trec` for every tool that reads TREC's formats."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ragkit.evaluate.results import Evaluation

_SPACE = re.compile(r"\s|%")


def save(evaluation: Evaluation, folder: Path, told: dict[str, Any] | None = None, *, stem: str = "eval") -> None:
    """Write the evaluation under `folder`, which is made. `told` replaces what the JSON says of it as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {**evaluation.to_dict(per_query=True), **(told or {})}
    _write(folder / f"{stem}.json", [json.dumps(document, ensure_ascii=False, indent=1), "\n"])
    run, qrels = ("run", "qrels") if stem == "eval" else (f"{stem}-run", f"{stem}-qrels")
    _write(folder / f"{run}.trec", _run_lines(evaluation))
    _write(folder / f"{qrels}.trec", _qrel_lines(evaluation))


def _run_lines(evaluation: Evaluation) -> Iterable[str]:
    tag = _token(evaluation.name) or "ragkit"
    for query in evaluation.per_query:
        for rank, (name, score) in enumerate(query.ranking, 1):
            yield f"{_token(query.id)} Q0 {_token(name)} {rank} {score:.9g} {tag}\n"


def _qrel_lines(evaluation: Evaluation) -> Iterable[str]:
    for query in evaluation.per_query:
        for name, grade in query.grades.items():
            yield f"{_token(query.id)} 0 {_token(name)} {grade}\n"


def _token(text: str) -> str:
    """A name without white space, which separates the columns: percent-encoded, and the percent sign with it."""
    return _SPACE.sub(lambda match: quote(match[0], safe=""), text)


def _write(path: Path, parts: Iterable[str]) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.writelines(parts)
    os.replace(part, path)  # noqa: PTH105
