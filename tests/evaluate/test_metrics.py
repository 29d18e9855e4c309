"""The metrics are trec_eval's, whatever names and scores the documents have."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.errors import ConfigError, RagkitError
from ragkit.evaluate.metrics import DEFAULT, PASSAGES, Metric, parse, score, strictly_descending

NAMES = st.text("abcdefgh0123", min_size=1, max_size=3)
QRELS = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.dictionaries(NAMES, st.integers(0, 3), min_size=1), min_size=1)
RUNS = st.dictionaries(
    st.sampled_from(["q1", "q2", "q3", "q4"]), st.dictionaries(NAMES, st.floats(-1e6, 1e6, width=32), max_size=30)
)
CUTOFFS = (1, 3, 10, 100)


def expected(name: str, cutoff: int, ranking: list[str], grades: dict[str, int]) -> float:
    """The definitions, written down again."""
    head = [grades.get(document, 0) for document in ranking[:cutoff]]
    relevant = sum(grade > 0 for grade in grades.values())
    hits = [rank for rank, grade in enumerate(head, 1) if grade > 0]
    if name == "precision":
        return len(hits) / cutoff
    if name == "mrr":
        return 1 / hits[0] if hits else 0.0
    if not relevant:
        return 0.0
    if name == "recall":
        return len(hits) / relevant
    if name == "map":
        return sum(found / rank for found, rank in enumerate(hits, 1)) / relevant
    ideal = sorted(grades.values(), reverse=True)[:cutoff]
    gain = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(head, 1))
    return gain / sum(grade / math.log2(rank + 1) for rank, grade in enumerate(ideal, 1))


@settings(max_examples=200, deadline=None)
@given(QRELS, RUNS)
def test_they_equal_the_definitions(qrels: dict[str, dict[str, int]], runs: dict[str, dict[str, float]]) -> None:
    metrics = parse([f"{name}@{cutoff}" for name in ("ndcg", "recall", "precision", "mrr", "map") for cutoff in CUTOFFS])
    rankings = {query: sorted(found, key=lambda name: -found[name]) for query, found in runs.items()}
    scored = {
        query: list(zip(names, strictly_descending([runs[query][name] for name in names]), strict=True))
        for query, names in rankings.items()
    }
    found = score(metrics, qrels, scored)
    assert set(found) == set(qrels)
    for query, grades in qrels.items():
        for metric in metrics:
            want = expected(metric.name, metric.cutoff, rankings.get(query, []), grades)
            assert found[query][metric] == pytest.approx(want, abs=1e-6), metric


def test_they_equal_pytrec_eval_on_random_runs() -> None:
    generator = np.random.default_rng(5)
    names = [f"d{number}" for number in range(300)]
    qrels = {
        f"q{number}": {name: int(generator.integers(0, 3)) for name in generator.choice(names, 20, replace=False).tolist()}
        for number in range(40)
    }
    runs = {
        query: dict(zip(generator.permutation(names)[:150].tolist(), generator.random(150).tolist(), strict=True))
        for query in qrels
    }
    scored = {query: sorted(found.items(), key=lambda item: -item[1]) for query, found in runs.items()}
    found = score(parse(DEFAULT), qrels, scored)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,100", "P.10", "map_cut.100"}).evaluate(runs)
    pairs = {
        "ndcg@10": "ndcg_cut_10", "recall@10": "recall_10", "recall@100": "recall_100", "precision@10": "P_10",
        "map@100": "map_cut_100",
    }  # fmt: skip
    for query in qrels:
        for metric in parse(list(pairs)):
            assert found[query][metric] == pytest.approx(theirs[query][pairs[str(metric)]], abs=1e-6)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_sorting_by_the_scores_gives_the_ranking(scores: list[float]) -> None:
    single = [np.float32(value) for value in strictly_descending(scores)]
    assert all(math.isfinite(value) for value in single)
    assert all(one > other for one, other in itertools.pairwise(single))


def test_scores_that_descend_stay_as_they_are() -> None:
    assert strictly_descending([3.0, 2.5, -1.0]) == [3.0, 2.5, -1.0]


def test_names() -> None:
    assert parse(["nDCG@10", "mrr@5", "ndcg@10"]) == (Metric("ndcg", 10), Metric("mrr", 5))
    assert [str(metric) for metric in parse((*DEFAULT, *PASSAGES))] == [*DEFAULT, *PASSAGES]
    with pytest.raises(ConfigError) as raised:
        parse(["dcg@10", "ndcg", "ndcg@0", "recall@1001", "map@x"])
    assert len(raised.value.problems) == 5
    assert raised.value.exit_status == 2


def test_without_the_library_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytrec_eval", None)
    with pytest.raises(RagkitError, match=r"pip install 'ragkit\[eval\]'"):
        score(parse(DEFAULT), {}, {})
