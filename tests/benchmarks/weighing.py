"""Which weight of the legs is best, for all questions at once and question by question.

    python tests/benchmarks/weighing.py --data ../shared/data --work /tmp/quality
    python tests/benchmarks/weighing.py --data ../shared/data --work /tmp/quality --collections cosqa_dev --questions 100

Ingests each collection with the default configuration (as quality.py does, into the same folder), asks both legs for 100
candidates, and fuses these with every weight from 0 to 1 in steps of 0.05. Prints nDCG@10 of either leg, of some constant
weights, of the built-in rule and of the best weight of each question, which no rule can beat; then
the best rules of its kind on a grid. Nothing is written but the indexes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.schema import QueryBundle

from ragkit import Pipeline
from ragkit.builtin.retrievers.fusion import combine, fill, order, zscore
from ragkit.builtin.retrievers.weighing import DEFAULT_ALPHA, ENOUGH, Weight, by_peak, peak
from ragkit.cli.progress import progress
from ragkit.evaluate import load

COLLECTIONS = ("scifact:train", "squad_v1_dev:test:2500", "cosqa_dev:test", "xquad/de:test", "xquad/zh:test", "scifact:test")
HELD_OUT = "scifact:test"
DEPTH = 100
WEIGHTS = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Asked:
    """nDCG@10 of the questions of a collection at each weight (n, 21), and how far each one's best keyword hit stands out."""

    ndcg: Any
    peaks: Any
    candidates: Any

    def under(self, rule: Callable[[float, int], float]) -> float:
        """The mean under a rule from peak and number of candidates to a weight, interpolated between the steps."""
        alphas = np.array([rule(*pair) for pair in zip(self.peaks, self.candidates, strict=True)]) * (len(WEIGHTS) - 1)
        low = np.minimum(np.floor(alphas).astype(int), len(WEIGHTS) - 2)
        rows, share = np.arange(len(alphas)), alphas - low
        return float((self.ndcg[rows, low] * (1 - share) + self.ndcg[rows, low + 1] * share).mean())

    @property
    def better_leg(self) -> float:
        return float(max(self.ndcg[:, 0].mean(), self.ndcg[:, -1].mean()))


def builtin(found: float, candidates: int) -> float:
    """The rule as `hybrid` has it."""
    weight = Weight(DEFAULT_ALPHA)
    return (by_peak(weight, found, "keyword") if candidates >= ENOUGH else weight).alpha


def constant(alpha: float) -> Callable[[float, int], float]:
    return lambda found, candidates: alpha


def straight(start: float, slope: float, least: float, most: float) -> Callable[[float, int], float]:
    return lambda found, candidates: min(most, max(least, start - slope * found))


def ndcg(names: Sequence[str], best: Sequence[int], grades: Mapping[str, int]) -> float:
    """nDCG@10 with linear gain of documents, each standing where its best chunk stands."""
    documents = list(dict.fromkeys(names[row] for row in best))[:10]
    gain = sum(grades.get(name, 0) / np.log2(place + 2) for place, name in enumerate(documents))
    ideal = sum(grade / np.log2(place + 2) for place, grade in enumerate(sorted(grades.values(), reverse=True)[:10]))
    return float(gain / ideal) if ideal else 0.0


def ask(data: Path, work: Path, collection: str, questions: int | None) -> Asked:
    """Ingest a collection and ask its questions."""
    name, split, *most = collection.split(":")
    everything = data / name / "all_splits" / "queries.jsonl"
    queries = everything if split != "test" and everything.exists() else None
    dataset = load(data / name, split=split, queries=queries).head(questions or (int(most[0]) if most else None))
    (work / name).mkdir(parents=True, exist_ok=True)
    file = work / name / "ragkit.yaml"
    file.write_text(
        f"sources: [{{use: jsonl, name: corpus, path: '{(data / name / 'corpus.jsonl').resolve()}'}}]\n", encoding="utf-8"
    )
    with Pipeline.from_yaml(file) as pipeline, progress() as bars:
        pipeline.ingest(progress=bars)
        with pipeline._index.reading() as opened:
            names = {chunk.id: str(chunk.metadata.get("_id") or chunk.uri) for chunk in opened.reader.all()}
            legs = opened.searcher._retriever._legs  # type: ignore[attr-defined]
            rows = []
            for number, query in enumerate(dataset.queries, 1):
                rows.append(_candidates(legs, query, names))
                bars("questions", number, len(dataset.queries), name)
    kept = [row for row in rows if row is not None]
    return Asked(*(np.array([row[column] for row in kept]) for column in range(3)))


def _candidates(legs: Sequence[Any], query: Any, names: Mapping[str, str]) -> tuple[list[float], float, int] | None:
    """A question's nDCG at every weight, its peak, and how many candidates it had."""
    bundle = QueryBundle(query.text)
    found = [dict(zip(*leg.search(bundle, DEPTH), strict=True)) for leg in legs]
    ids = list(dict.fromkeys([*found[0], *found[1]]))
    if not ids:
        return None
    scores = [fill(np.array(leg.score(bundle, ids), dtype=np.float64)) for leg in legs]
    ranks = {item: rank for rank, item in enumerate(found[0])}
    first = [ranks.get(item, len(ids)) for item in ids]
    grades = {item.item: item.grade for item in query.relevant}
    documents = [names[item] for item in ids]
    at = [
        ndcg(documents, order(combine([zscore(row) for row in scores], [alpha, 1 - alpha]), first, ids).tolist(), grades)
        for alpha in WEIGHTS
    ]
    return at, peak(scores[1]), len(ids)


def main() -> None:
    """Ask, and print what each rule reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--work", type=Path, required=True, help="keeps the indexes")
    parser.add_argument("--collections", nargs="*", default=COLLECTIONS, metavar="FOLDER[:SPLIT[:QUESTIONS]]")
    parser.add_argument("--questions", type=int, help="ask so many of each")
    given = parser.parse_args()
    chosen = [name if ":" in name else f"{name}:test" for name in given.collections]
    asked = {name: ask(given.data, given.work, name, given.questions) for name in chosen}
    show("dense", asked, constant(1.0))
    show("keyword", asked, constant(0.0))
    for alpha in (0.5, 0.6, 0.7):
        show(f"{alpha} for all", asked, constant(alpha))
    show("built in", asked, builtin)
    print(f"{'best of each':28}" + "".join(f"{float(one.ndcg.max(1).mean()):17.4f}" for one in asked.values()))
    tuned = {name: one for name, one in asked.items() if name != HELD_OUT}
    if not tuned:
        return
    print("\nthe best of start − slope · peak within [least, most], chosen without the held-out collection")
    grid = product(
        np.arange(0.7, 1.8, 0.1), np.arange(0.02, 0.3, 0.02), (0.2, 0.3, 0.35, 0.4, 0.45, 0.5), (0.6, 0.7, 0.8, 0.9, 1.0)
    )
    ranked = sorted(((worth(straight(*point), tuned), tuple(map(float, point))) for point in grid), reverse=True)
    for _, point in ranked[:5]:
        show(" ".join(f"{value:.2f}" for value in point), asked, straight(*point))


def worth(rule: Callable[[float, int], float], asked: Mapping[str, Asked]) -> float:
    """The mean over collections, less what the worst one loses beyond 0.01 against its better leg."""
    means = {name: one.under(rule) for name, one in asked.items()}
    worst = min(mean - asked[name].better_leg for name, mean in means.items())
    return float(np.mean(list(means.values()))) + min(0.0, worst + 0.01)


def show(label: str, asked: Mapping[str, Asked], rule: Callable[[float, int], float]) -> None:
    """A row: the mean of each collection, and its distance to the better leg."""
    if label == "dense":
        print(f"{'':28}" + "".join(f"{name[:16]:>17}" for name in asked))
    means = {name: one.under(rule) for name, one in asked.items()}
    told = (f"{mean:9.4f} {mean - asked[name].better_leg:+7.3f}" for name, mean in means.items())
    print(f"{label:28}" + "".join(told), flush=True)


if __name__ == "__main__":
    main()
