"""The records of a collection, and the half of SQuAD of which no default was chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ragkit.evaluate import Dataset

SQUAD = "squad_v1_dev"


def records(folder: Path, most: int | None) -> list[dict[str, Any]]:
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[:most]]


def held_out(folder: Path, data: Dataset) -> Dataset:
    """The questions about the second half of the articles, in the order of the corpus."""
    titles = {record["_id"]: record["title"] for record in records(folder, None)}
    articles = list(dict.fromkeys(titles.values()))
    asked = set(articles[len(articles) // 2 :])
    kept = [query for query in data.queries if any(titles.get(item.item) in asked for item in query.relevant)]
    return Dataset(data.name, tuple(kept), data.notes)
