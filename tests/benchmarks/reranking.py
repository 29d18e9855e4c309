"""What reranking with `cross_encoder` costs once its scores are in the cache, against the first time.

    python tests/benchmarks/reranking.py
    python tests/benchmarks/reranking.py --candidates 50 --kept 1000000      # a full cache
    python tests/benchmarks/reranking.py --model cross-encoder/ms-marco-MiniLM-L6-v2

Every question is reranked twice through the stage that a pipeline has, over passages of 1,200 characters, with the score cache
in SQLite, in which `--kept` scores lie already. Without `--model` it is a tiny one with random weights, made here: what the first
time takes says nothing then. Exit status 1 if the median of the cached questions is above 5 ms.
"""

from __future__ import annotations

import argparse
import random
import statistics
import string
import sys
import tempfile
import time
from pathlib import Path

from llama_index.core.schema import NodeWithScore, TextNode

from ragkit.query.reranking import RerankStage
from ragkit.query.run import QueryRun, Question
from ragkit.state.scores import ScoreCache
from ragkit.state.sqlite import SqliteStorage
from ragkit.testing import build_context
from ragkit_huggingface import CrossEncoderOptions, build_cross_encoder

BUDGET_MS = 5.0
CHARS = 1_200
FILLED_AT_ONCE = 20_000


def passage(words: random.Random) -> str:
    text = " ".join("".join(words.choices(string.ascii_lowercase, k=words.randint(2, 9))) for _ in range(CHARS // 5))
    return text[:CHARS]


def fill(scores: ScoreCache, kept: int) -> None:
    """Put `kept` other scores into the cache."""
    for start in range(0, kept, FILLED_AT_ONCE):
        scores.put("another", "question", {str(number): 0.5 for number in range(start, min(start + FILLED_AT_ONCE, kept))})


def reranked_ms(stage: RerankStage, question: str, nodes: list[NodeWithScore]) -> float:
    """How long one question took. Raises `RuntimeError` where it was not reranked."""
    asked = Question(QueryRun(question, 10))
    began = time.perf_counter()
    stage(nodes, asked)
    took = (time.perf_counter() - began) * 1000
    (record,) = asked.run.recorder.trace().stages
    if record.status != "ok":
        raise RuntimeError(record.detail)
    return took


def told(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    p95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    print(f"{name}: p50 {statistics.median(ordered):.2f} ms, p95 {p95:.2f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--kept", type=int, default=0, help="scores that lie in the cache already")
    parser.add_argument("--model", default="", help="a cross encoder, as in rerankers.cross_encoder.model")
    parser.add_argument("--budget-ms", type=int, default=None)
    given = parser.parse_args()
    words = random.Random(0)
    nodes = [NodeWithScore(node=TextNode(text=passage(words)), score=0.5) for _ in range(given.candidates)]
    questions = [passage(words)[:80] for _ in range(given.questions)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = CrossEncoderOptions(model=given.model or str(tiny(folder / "tiny")), candidates=given.candidates)
        scores = ScoreCache(SqliteStorage(folder), 10_000_000)
        fill(scores, given.kept)
        context = build_context(folder / "component")
        context.scores = scores
        found = []
        for _ in range(2):  # the second one has a model of its own, which is never loaded
            stage = RerankStage("judge", build_cross_encoder(options, context), given.candidates, None, given.budget_ms)
            reranked_ms(stage, "the first question opens files", nodes)
            found.append([reranked_ms(stage, question, nodes) for question in questions])
        scores.close()
    for label, times in zip(("first time", "cached"), found, strict=True):
        told(f"{label}, {given.candidates} candidates", times)
    print(f"the last question: {context.run_.here.detail}; budget for the cached: {BUDGET_MS} ms")
    return int(statistics.median(found[1]) > BUDGET_MS)


def tiny(folder: Path) -> Path:
    """A cross encoder with random weights."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
    from cross_encoders import tiny_cross_encoder

    return tiny_cross_encoder(folder)


if __name__ == "__main__":
    sys.exit(main())
