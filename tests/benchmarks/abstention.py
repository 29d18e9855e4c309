"""How often ragkit abstains, where it should and where it should not; and the fit of the decision's weights.

    python tests/benchmarks/abstention.py --data ../shared/data              # what is reported
    python tests/benchmarks/abstention.py --data ../shared/data --fit        # the weights, from other questions

Collections become folders of Markdown files and are ingested with the default configuration; `--work` keeps the indexes
for the next run. No question that is reported is used in the fit.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ragkit import Pipeline
from ragkit.query.answer import Answer

REPORTED = (
    ("scifact test", "fastapi", False),
    ("squad test", "squad", True),
    ("scifact test", "scifact", True),
)
FITTED = (
    ("scifact train", "fastapi", False),
    ("chroma", "fastapi", False),
    ("squad other", "fastapi", False),
    ("scifact train", "squad", False),
    ("cosqa", "squad", False),
    ("scifact train", "cosqa", False),
    ("squad other", "scifact", False),
    ("squad other", "chroma", False),
    ("cosqa", "scifact", False),
    ("squad other", "squad", True),
    ("scifact train", "scifact", True),
    ("cosqa", "cosqa", True),
    ("chroma", "chroma", True),
)
"""Questions, the collection that they are asked of, and whether it answers them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--work", type=Path, help="keeps the indexes (default: a temporary folder)")
    parser.add_argument("--fit", action="store_true", help="fit the weights anew; takes all collections, half an hour")
    parser.add_argument("--questions", type=int, default=500, help="at most so many per row; 100 SciFact claims are reported")
    parser.add_argument("--pairs", help="only rows whose collection is named here, separated by commas")
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        parser.exit(0, f"skipped: {chosen.data} does not exist\n")
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen, chosen.work or Path(folder))


def measure(chosen: argparse.Namespace, work: Path) -> None:
    """Print a row per pair, and with `--fit` the weights."""
    rows, only = FITTED if chosen.fit else REPORTED, set((chosen.pairs or "").split(",")) - {""}
    samples: list[tuple[bool, np.ndarray]] = []
    print(f"{'questions':14} {'asked of':10} {'answered there':15} {'n':>4} {'abstained':>10}   similarity and coverage, median")
    for collection in dict.fromkeys(row[1] for row in rows):
        if only and collection not in only:
            continue
        with open_index(chosen.data, work, collection) as pipeline:
            for name, _, answerable in (row for row in rows if row[1] == collection):
                limit = 100 if name == "scifact test" and not answerable else chosen.questions
                answers = [pipeline.ask(question) for question in questions(chosen.data, name)[:limit]]
                evidence = values(answers)
                samples.append((answerable, evidence))
                share, medians = np.mean([answer.abstained for answer in answers]), np.median(evidence, axis=0)
                print(
                    f"{name:14} {collection:10} {'yes' if answerable else 'no':15} {len(answers):4} {share:10.1%}   "
                    f"{medians[0]:.2f} {medians[1]:.2f}",
                    flush=True,
                )
    if chosen.fit:
        for label, columns in (("both", [0, 1]), ("similarity", [0]), ("coverage", [1])):
            print(f"{label}: {np.round(fit(samples, columns), 2).tolist()}")


def values(answers: Iterable[Answer]) -> np.ndarray:
    """(n, 2): similarity and coverage; 0 where one cannot be told."""
    found = [answer.evidence for answer in answers]
    return np.array([[item.similarity or 0.0, item.coverage or 0.0] if item else [0.0, 0.0] for item in found])


def fit(samples: list[tuple[bool, np.ndarray]], columns: list[int]) -> np.ndarray:
    """Logistic regression by Newton's method, every pair of its side weighing the same: the intercept, then the weights."""
    sides = [answerable for answerable, _ in samples]
    x = np.vstack([np.c_[np.ones(len(rows)), rows[:, columns]] for _, rows in samples])
    y = np.concatenate([np.full(len(rows), float(answerable)) for answerable, rows in samples])
    weight = np.concatenate([np.full(len(rows), 1 / len(rows) / sides.count(answerable)) for answerable, rows in samples])
    beta = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(len(beta))
        beta -= np.linalg.solve(hessian, x.T @ (weight * (p - y)))
    return beta


def open_index(data: Path, work: Path, collection: str) -> Pipeline:
    """The collection's pipeline, ingested."""
    folder = work / collection
    if not (folder / "docs").is_dir():
        (folder / "part").mkdir(parents=True, exist_ok=True)
        for name, text in documents(data, collection):
            target = folder / "part" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        shutil.move(folder / "part", folder / "docs")
    (folder / "ragkit.yaml").write_text('sources: [{use: files, path: docs, include: ["**/*.md"]}]\n', encoding="utf-8")
    pipeline = Pipeline.from_yaml(folder / "ragkit.yaml")
    pipeline.ingest()
    return pipeline


def documents(data: Path, collection: str) -> Iterable[tuple[str, str]]:
    """Names and texts."""
    folders = {"fastapi": data / "fastapi_docs", "chroma": data / "chroma_chunking" / "corpora"}
    if collection in folders:
        root = folders[collection]
        return [(str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in sorted(root.rglob("*.md"))]
    records = read(data / {"squad": "squad_v1_dev", "cosqa": "cosqa_dev", "scifact": "scifact"}[collection] / "corpus.jsonl")
    return [
        (f"{number // 1000}/{number}.md", f"{item['title']}\n\n{item['text']}".strip()) for number, item in enumerate(records)
    ]


def questions(data: Path, name: str) -> list[str]:
    """The questions called `name`; those of SQuAD in a fixed random order, cut in two parts."""
    makers: dict[str, Callable[[], list[str]]] = {
        "scifact test": lambda: texts(data / "scifact" / "queries.jsonl"),
        "scifact train": lambda: train_claims(data),
        "squad test": lambda: shuffled(data)[:500],
        "squad other": lambda: shuffled(data)[500:],
        "cosqa": lambda: texts(data / "cosqa_dev" / "queries.jsonl"),
        "chroma": lambda: texts(data / "chroma_chunking" / "questions.jsonl"),
    }
    return makers[name]()


def train_claims(data: Path) -> list[str]:
    """SciFact's training claims that are no test claims."""
    known = {item["_id"]: item["text"] for item in read(data / "scifact" / "all_splits" / "queries.jsonl")}
    with (data / "scifact" / "qrels" / "train.tsv").open(encoding="utf-8") as file:
        ids = dict.fromkeys(row["query-id"] for row in csv.DictReader(file, delimiter="\t"))
    reported = set(texts(data / "scifact" / "queries.jsonl"))
    return [known[item] for item in ids if known[item] not in reported]


def shuffled(data: Path) -> list[str]:
    """SQuAD's questions."""
    found = texts(data / "squad_v1_dev" / "queries.jsonl")
    random.Random(7).shuffle(found)
    return found


def texts(path: Path) -> list[str]:
    """The `text` of each record."""
    return [item["text"] for item in read(path)]


def read(path: Path) -> list[dict[str, str]]:
    """The records of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    main()
