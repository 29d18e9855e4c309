"""What the trace of a query costs, how much of the query it accounts for, and when an answer's first word comes.

    python tests/benchmarks/tracing.py --data ../shared/data --work /tmp/quality

Ingests SciFact with the default configuration (as quality.py does, into the same folder), asks questions, and then does for each
again what the stages told the trace: entering and leaving, 100 hits and their scores per leg, freezing. Prints the median of both
and the share. The questions' vectors are cached, which makes the share as large as it gets.

Then it asks for answers, streamed, with no vector of a question kept, and prints the share of each query's time in which some
stage was at work, and how long after the last stage of retrieval the first piece of the (extractive) answer came.
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
from ragkit.query.answer import Answer
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


def streamed(pipeline: Pipeline, questions: list[str]) -> tuple[list[float], list[float]]:
    """For each question the share of its time that stages account for, and the milliseconds from retrieval to the first piece."""
    shares, waits = [], []
    with pipeline.without_query_cache():
        for question in questions:
            began = time.perf_counter()
            pieces = pipeline.stream(question)
            next(pieces)
            first = (time.perf_counter() - began) * 1000
            answer = next(piece for piece in pieces if isinstance(piece, Answer))
            pieces.close()
            found = [span for stage in answer.trace.stages if stage.name not in ("abstention", "answer") for span in stage.spans]
            shares.append(answer.trace.accounted_ms / answer.trace.total_ms)
            waits.append(first - max(ended for _, ended in found))
    return shares, waits


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
            shares, waits = streamed(pipeline, questions)
    whole, part = median_ms(asked), median_ms(told)
    print(f"{len(questions)} questions: a query takes {whole:.2f} ms, its trace {part:.3f} ms of it, {part / whole:.2%}")
    print(
        f"stages account for {np.median(shares):.1%} of a query (median), {np.quantile(shares, 0.05):.1%} at the fifth percentile"
    )
    print(f"the first piece comes {np.median(waits):.1f} ms after retrieval (median), {np.quantile(waits, 0.95):.1f} at the 95th")


if __name__ == "__main__":
    main()
