"""What the trace of a query costs, as a share of the query.

    python tests/benchmarks/tracing.py --data ../shared/data --work /tmp/quality

Ingests SciFact with the default configuration (as quality.py does, into the same folder), asks questions, and then does for each
again what the stages told the trace: entering and leaving, 100 hits and their scores per leg, freezing. Prints the median of both
and the share. The questions' vectors are cached, which makes the share as large as it gets.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from ragkit import Pipeline
from ragkit.cli.progress import progress
from ragkit.evaluate import load
from ragkit.query.trace import Recorder, Trace

REPEATED = 20


def replay(trace: Trace) -> None:
    """Everything that was recorded, recorded again."""
    recorder = Recorder(trace.generation)
    for stage in trace.stages:
        with recorder.stage(stage.name, stage.entered) as record:
            scores, ranks = trace.scores.get(stage.name, {}), trace.ranks.get(stage.name, {})
            if ranks:
                record.hits(list(ranks), [scores[chunk_id] for chunk_id in ranks])
            rest = [chunk_id for chunk_id in scores if chunk_id not in ranks]
            if rest:
                record.scored(rest, [scores[chunk_id] for chunk_id in rest])
            if stage.detail:
                record.note(stage.detail)
    recorder.trace()


def median_ms(times: list[float]) -> float:
    return float(np.median(times)) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--work", type=Path, help="keeps the index (default: a temporary folder)")
    parser.add_argument("--documents", type=int, help="ingest so many documents")
    parser.add_argument("--questions", type=int, default=200, help="ask so many questions")
    chosen = parser.parse_args()
    collection = chosen.data / "scifact"
    if not collection.is_dir():
        parser.exit(0, f"skipped: {collection} does not exist\n")
    with tempfile.TemporaryDirectory() as folder:
        work = (chosen.work or Path(folder)) / "scifact"
        work.mkdir(parents=True, exist_ok=True)
        file = work / "ragkit.yaml"
        corpus = (collection / "corpus.jsonl").resolve()
        file.write_text(f"sources: [{{use: jsonl, name: corpus, path: '{corpus}'}}]\n", encoding="utf-8")
        with Pipeline.from_yaml(file) as pipeline:
            with progress() as bars:
                pipeline.ingest(progress=bars, limit=chosen.documents)
            questions = [query.text for query in load(collection).head(chosen.questions).queries]
            traces = [pipeline.search(question, k=10).trace for question in questions]
            asked, told = [], []
            for question, trace in zip(questions, traces, strict=True):
                began = time.perf_counter()
                pipeline.search(question, k=10)
                asked.append(time.perf_counter() - began)
                began = time.perf_counter()
                for _ in range(REPEATED):
                    replay(trace)
                told.append((time.perf_counter() - began) / REPEATED)
    whole, part = median_ms(asked), median_ms(told)
    print(f"{len(questions)} questions: a query takes {whole:.2f} ms, its trace {part:.3f} ms of it, {part / whole:.2%}")


if __name__ == "__main__":
    main()
