"""nDCG and recall of dense, keyword and hybrid retrieval on a BEIR collection, with the default configuration.

    python tests/benchmarks/quality.py --data ../shared/data                      # SciFact; embeds 5,183 abstracts
    python tests/benchmarks/quality.py --data ../shared/data --collection cosqa_dev --work /tmp/quality
    python tests/benchmarks/quality.py --data ../shared/data --collection squad_v1_dev --held-out
    python tests/benchmarks/quality.py --data ../shared/data --work /tmp/quality --fusions        # every way to fuse
    python tests/benchmarks/quality.py --data ../shared/data --documents 200 --questions 100   # does it run?

Prints a row per retriever, with 95 % intervals, and hybrid against each leg with a paired test. `--work` keeps the index for
the next run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from halves import SQUAD, held_out

from ragkit import Pipeline
from ragkit.cli.progress import progress
from ragkit.evaluate import Comparison, Evaluation, compare, evaluate, load

RETRIEVERS = ("dense", "keyword", "hybrid")
FUSIONS = (
    "{use: hybrid, adaptive: false}",
    "{use: hybrid, adaptive: false, normaliser: minmax}",
    "{use: hybrid, adaptive: false, normaliser: distribution}",
    "{use: hybrid, adaptive: false, normaliser: theoretical}",
    "{use: hybrid, adaptive: false, fusion: rrf}",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--collection", default="scifact", help="a folder there, in BEIR's layout")
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=Path, help="the queries of another split, if they stand elsewhere")
    parser.add_argument("--work", type=Path, help="keeps the index (default: a temporary folder)")
    parser.add_argument("--documents", type=int, help="ingest so many documents; the numbers then mean nothing")
    parser.add_argument("--questions", type=int, help="ask so many questions")
    parser.add_argument("--held-out", action="store_true", help="of SQuAD, the half that no default was chosen on")
    parser.add_argument("--fusions", action="store_true", help="compare the ways to fuse, with a fixed alpha")
    chosen = parser.parse_args()
    if not (chosen.data / chosen.collection).is_dir():
        parser.exit(0, f"skipped: {chosen.data / chosen.collection} does not exist\n")
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen, (chosen.work or Path(folder)) / chosen.collection)


def measure(chosen: argparse.Namespace, work: Path) -> None:
    """Ingest, evaluate three times, print."""
    data = load(chosen.data / chosen.collection, split=chosen.split, queries=chosen.queries)
    data = (held_out(chosen.data / SQUAD, data) if chosen.held_out else data).head(chosen.questions)
    work.mkdir(parents=True, exist_ok=True)
    corpus = (chosen.data / chosen.collection / "corpus.jsonl").resolve()
    file = work / "ragkit.yaml"
    file.write_text(f"sources: [{{use: jsonl, name: corpus, path: '{corpus}'}}]\n", encoding="utf-8")
    with Pipeline.from_yaml(file) as pipeline, progress() as bars:
        report = pipeline.ingest(progress=bars, limit=chosen.documents)
    print(f"{data.name}: {report.chunks['total']:,} chunks, ingested in {report.seconds:.0f} s", flush=True)
    found: dict[str, Evaluation] = {}
    for retriever in (*RETRIEVERS, *FUSIONS) if chosen.fusions else RETRIEVERS:
        with Pipeline.from_yaml(file, overrides=[f"retriever={retriever}"]) as pipeline, progress() as bars:
            found[retriever] = evaluate(pipeline, data, progress=bars)
    show(found)


def show(found: dict[str, Evaluation]) -> None:
    """A row per metric, then the comparisons."""
    hybrid = found["hybrid"]
    print(f"{hybrid.queries} questions\n{'':56}" + "".join(f"{metric:>26}" for metric in hybrid.metrics) + f"{'p50, p95 ms':>16}")
    for name, evaluation in found.items():
        took = evaluation.latency_ms
        row = "".join(f"{told(evaluation, metric):>26}" for metric in hybrid.metrics)
        print(f"{name:56}{row}{f'{took.p50:.1f}, {took.p95:.1f}' if took else '':>16}")
    for name in RETRIEVERS[:2]:
        against(compare(hybrid, found[name]), name)
    for note in hybrid.notes:
        print(f"note: {note}", file=sys.stderr)


def told(evaluation: Evaluation, metric: str) -> str:
    estimate = evaluation.metrics[metric]
    if estimate is None or estimate.ci95 is None:
        return "not measured" if estimate is None else f"{estimate.mean:.4f}"
    return f"{estimate.mean:.4f} [{estimate.ci95[0]:.3f}, {estimate.ci95[1]:.3f}]"


def against(comparison: Comparison, name: str) -> None:
    for metric, difference in comparison.differences.items():
        if difference is not None:
            counts = f"{difference.gains} better, {difference.losses} worse"
            print(f"hybrid against {name:8} {metric:13} {difference.mean:+.4f}, p {difference.p or 1:.4f}, {counts}")


if __name__ == "__main__":
    main()
