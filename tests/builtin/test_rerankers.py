"""The rerankers that need no model: `mmr`, `threshold`, `recency`; alone, and three stages in a row."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from pydantic import ValidationError

from ragkit import Pipeline
from ragkit.builtin.rerankers import (
    MMROptions,
    RecencyOptions,
    ThresholdOptions,
    build_mmr,
    build_recency,
    build_threshold,
    ragkit_rerankers,
)
from ragkit.builtin.rerankers.recency import RecencyReranker, moment
from ragkit.components import Kind
from ragkit.errors import ComponentError, ConfigError
from ragkit.host import Host
from ragkit.query.run import QueryRun
from ragkit.query.trace import LabelledRecorder, Recorder
from ragkit.testing import FakeRun, build_context, plugin

NOW = datetime(2024, 7, 1, tzinfo=UTC)
ASKED = QueryBundle("a question")


class Bench:
    """Nodes with scores, and a context that has them; `said` is what the trace was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = FakeRun()
        self.nodes: list[NodeWithScore] = []
        self.context: Any = None

    def lay(self, *hits: tuple[str, float | None], **metadata: list[Any]) -> Bench:
        self.nodes = [
            NodeWithScore(
                node=TextNode(
                    id_=f"n{place}", text=text, metadata={key: values[place] for key, values in metadata.items() if values[place]}
                ),
                score=score,
            )
            for place, (text, score) in enumerate(hits)
        ]
        self.context = build_context(self.folder, chunks=[item.node for item in self.nodes], run=self.run)
        return self

    @property
    def said(self) -> tuple[str, str]:
        return self.run.here.status, self.run.here.detail


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "context")


def names(nodes: list[NodeWithScore]) -> str:
    return " ".join(item.node.node_id for item in nodes)


def hits(*scores: float | None) -> list[tuple[str, float | None]]:
    return [(f"text {place}", score) for place, score in enumerate(scores)]


def recency(bench: Bench, **options: Any) -> RecencyReranker:
    return RecencyReranker(bench.context, now=lambda: NOW, **options)


# All of them


@pytest.mark.parametrize("use", ["mmr", "threshold", "recency"])
async def test_the_nodes_stay_and_both_ways_agree(bench: Bench, use: str) -> None:
    bench.lay(("red fish", 0.9), ("red fish", 0.8), ("blue whale", 0.1), date=["2020-01-01", None, "2024-01-01"])
    component = next(one for one in ragkit_rerankers() if one.name == use)
    options = component.options(**({"relative": 0.5} if use == "threshold" else {}))
    reranker = component.build(options, bench.context)
    before = [(item.score, item.node.model_dump()) for item in bench.nodes]
    found = reranker.postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert [(item.score, item.node.model_dump()) for item in bench.nodes] == before
    assert not {id(item) for item in found} & {id(item) for item in bench.nodes}
    assert {id(item.node) for item in found} <= {id(item.node) for item in bench.nodes}
    later = await reranker.apostprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert [item.node.node_id for item in later] == [item.node.node_id for item in found]
    scores = [item.score for item in found]
    assert scores == sorted(scores, reverse=True)
    assert reranker.postprocess_nodes([], query_bundle=ASKED) == []
    assert reranker.postprocess_nodes([]) == []
    assert names(reranker.postprocess_nodes(bench.nodes)) == names(found)


@pytest.mark.parametrize("use", ["mmr", "recency"])
@pytest.mark.parametrize("scores", [(0.5, None, 0.9), (0.5, math.nan, 0.9)])
def test_a_hit_without_a_score_makes_the_ranks_count(bench: Bench, use: str, scores: tuple[float | None, ...]) -> None:
    bench.lay(*hits(*scores), date=["2024-01-01"] * 3)
    reranker = (
        build_mmr(MMROptions(diversity=0), bench.context)
        if use == "mmr"
        else build_recency(RecencyOptions(weight=0), bench.context)
    )
    found = reranker.postprocess_nodes(bench.nodes)
    assert names(found) == "n0 n1 n2"
    assert [item.score for item in found] == pytest.approx([1, 1 / 4, 0])  # 1, 1/2, 1/3 from worst to best


@pytest.mark.parametrize("dates", [["2024-01-01", None], [None, None]])
def test_without_a_question_there_is_no_trace_to_tell(bench: Bench, dates: list[str | None]) -> None:
    bench.lay(*hits(0.9, 0.8), date=dates)
    bench.context.run = None
    assert names(recency(bench).postprocess_nodes(bench.nodes)) == "n0 n1"


# mmr


def test_mmr_lets_a_double_wait_and_keeps_it(bench: Bench) -> None:
    bench.lay(("red fish swims", 0.9), ("red fish swims", 0.89), ("blue whale sings", 0.5), ("a stone", 0.1))
    found = build_mmr(MMROptions(diversity=0.5), bench.context).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert names(found) == "n0 n2 n3 n1"
    assert found[0].score == pytest.approx(0.5)
    scores = [item.score for item in found]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(score) for score in scores if score is not None)
    plain = build_mmr(MMROptions(diversity=0), bench.context).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert names(plain) == "n0 n1 n2 n3"
    assert bench.said == ("ok", "")


def test_mmr_tells_of_hits_without_a_vector(bench: Bench) -> None:
    bench.lay(*hits(0.9, 0.8, 0.7))
    strangers = [NodeWithScore(node=TextNode(id_=f"x{place}", text="text 0"), score=0.5) for place in range(2)]
    reranker = build_mmr(MMROptions(), bench.context)
    assert len(reranker.postprocess_nodes([*bench.nodes, *strangers], query_bundle=ASKED)) == 5
    assert bench.said == ("ok", "2 of 5 hits have no vector and are taken to be like no other")
    assert names(reranker.postprocess_nodes(strangers, query_bundle=ASKED)) == "x0 x1"
    assert bench.said == ("degraded", "no hit has a vector, so none is taken to be like another")


# threshold


@pytest.mark.parametrize(
    ("options", "scores", "left"),
    [
        ({"min_score": 0.5}, (0.9, 0.5, 0.49, -1), "n0 n1"),
        ({"min_score": -0.5}, (0.2, -0.5, -0.6), "n0 n1"),
        ({"min_score": 1}, (0.9, 0.5), ""),
        ({"relative": 0.5}, (0.8, 0.4, 0.39), "n0 n1"),
        ({"relative": 0.5}, (0.1, 0.8, 0.39, 0.5), "n1 n3"),
        ({"relative": 0}, (0.8, 0, -0.1), "n0 n1"),
        ({"relative": 1}, (0.8, 0.8, 0.7999), "n0 n1"),
        ({"relative": 0.5}, (-2, -4, -4.1), "n0 n1"),
        ({"relative": 1}, (-2, -2, -2.1), "n0 n1"),
        ({"relative": 0}, (-2, -1e300), "n0 n1"),
        ({"relative": 0.5}, (0, 0, -0.1), "n0 n1"),
        ({"relative": 0.5, "min_score": 0.5}, (0.8, 0.45), "n0"),
        ({"relative": 0.5, "min_score": 0.1}, (0.8, 0.39), "n0"),
    ],
)
def test_what_is_below_is_dropped(bench: Bench, options: dict[str, float], scores: tuple[float, ...], left: str) -> None:
    bench.lay(*hits(*scores))
    found = build_threshold(ThresholdOptions(**options), bench.context).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert names(found) == left
    assert {item.node.node_id: item.score for item in found} == {
        item.node.node_id: item.score for item in bench.nodes if item.node.node_id in left.split()
    }


def test_when_nothing_is_left_the_trace_says_how_far_it_was(bench: Bench) -> None:
    bench.lay(*hits(0.312345, 0.2))
    reranker = build_threshold(ThresholdOptions(min_score=0.5), bench.context)
    assert reranker.postprocess_nodes(bench.nodes, query_bundle=ASKED) == []
    assert bench.said == ("ok", "the best score is 0.3123, below 0.5")


def test_hits_without_a_score_are_kept_and_told(bench: Bench) -> None:
    bench.lay(*hits(0.9, None, 0.1, math.nan))
    reranker = build_threshold(ThresholdOptions(min_score=0.5), bench.context)
    assert names(reranker.postprocess_nodes(bench.nodes, query_bundle=ASKED)) == "n0 n1 n3"
    assert bench.said == ("ok", "2 of 4 hits have no score and are kept")


def test_the_score_of_another_stage_may_count(bench: Bench) -> None:
    bench.lay(*hits(9, 8, 7, 6))
    with bench.run.stage("dense") as stage:
        stage.hits(["n1", "n2"], [0.8, 0.3])
        stage.scored(["n3"], [math.nan])
    reranker = build_threshold(ThresholdOptions(relative=0.5, stage="dense"), bench.context)
    found = reranker.postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert [(item.node.node_id, item.score) for item in found] == [("n0", 9), ("n1", 8), ("n3", 6)]
    assert bench.said == ("ok", "2 of 4 hits have no score at the stage 'dense' and are kept")
    with pytest.raises(ComponentError, match=r"got no question(.|\n)*set no `stage`"):
        reranker.postprocess_nodes(bench.nodes)


def test_a_stage_that_scored_nothing_drops_nothing(bench: Bench) -> None:
    bench.lay(*hits(9, 8))
    reranker = build_threshold(ThresholdOptions(min_score=0.5, stage="dnese"), bench.context)
    assert names(reranker.postprocess_nodes(bench.nodes, query_bundle=ASKED)) == "n0 n1"
    assert bench.said == ("degraded", "no hit has a score at the stage 'dnese', so none is dropped")


def test_a_rephrased_question_has_stages_of_its_own() -> None:
    recorder = Recorder()
    run, labelled = QueryRun("a", 5, recorder=recorder), QueryRun("b", 5, recorder=LabelledRecorder(recorder, "hyde"))
    for one, score in ((run, 0.9), (labelled, 0.4)):
        with one.stage("dense") as stage:
            stage.hits(["n0"], [score])
    assert (run.score_of("dense", "n0"), labelled.score_of("dense", "n0"), run.score_of("hyde.dense", "n0")) == (0.9, 0.4, 0.4)
    assert run.score_of("dense", "n1") is run.score_of("keyword", "n0") is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "nothing says what to drop; set min_score, relative or both"),
        ({"stage": "dense"}, "set min_score"),
        ({"relative": 1.1}, "less than or equal to 1"),
        ({"min_score": math.nan}, "finite number"),
    ],
)
def test_a_threshold_that_says_nothing_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ThresholdOptions(**options)


# recency


def test_newer_hits_rise(bench: Bench) -> None:
    bench.lay(*hits(1.0, 0.9, 0.0), date=["2023-07-02", "2024-07-01", "2024-01-03"])
    found = recency(bench, weight=0.5).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    # 365, 0 and 180 days of age
    assert names(found) == "n1 n0 n2"
    assert [item.score for item in found] == pytest.approx([0.5 * 0.9 + 0.5, 0.5 + 0.5 * 2 ** (-365 / 180), 0.25])
    assert names(recency(bench, weight=0.0).postprocess_nodes(bench.nodes)) == "n0 n1 n2"
    assert names(recency(bench, weight=1.0).postprocess_nodes(bench.nodes)) == "n1 n2 n0"
    assert bench.said == ("ok", "")


def test_an_undated_hit_counts_as_of_middle_age(bench: Bench) -> None:
    bench.lay(*hits(1, 1, 1, 1), date=["2024-07-01", None, "last spring", "2024-01-03"])
    found = recency(bench, weight=1.0).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert names(found) == "n0 n1 n2 n3"
    assert [item.score for item in found] == pytest.approx([1, 0.75, 0.75, 0.5])
    told = "2 of 4 hits have no date under 'date' that can be read; they count as of middle age"
    assert bench.said == ("ok", told)


def test_without_any_date_the_order_stays(bench: Bench) -> None:
    bench.lay(*hits(0.2, 0.7), date=["soon", None])
    found = recency(bench).postprocess_nodes(bench.nodes, query_bundle=ASKED)
    assert [(item.node.node_id, item.score) for item in found] == [("n0", 0.2), ("n1", 0.7)]
    told = "no hit has a date under 'date' that can be read; the order stays"
    assert bench.said == ("degraded", told)


def test_the_future_is_now_and_ties_keep_their_order(bench: Bench) -> None:
    bench.lay(*hits(1, 1, 1, 1), published=["2024-06-30", "2031-01-01", "2024-07-01", "2024-07-01T00:00+00:00"])
    found = recency(bench, key="published", half_life_days=1).postprocess_nodes(bench.nodes)
    assert names(found) == "n1 n2 n3 n0"
    assert [item.score for item in found] == pytest.approx([1, 1, 1, 0.7 + 0.3 / 2])


@pytest.mark.parametrize(
    ("value", "when"),
    [
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        (" 2024-05-01 08:00Z ", datetime(2024, 5, 1, 8, tzinfo=UTC)),
        ("2024-05-01T10:00:00+02:00", datetime(2024, 5, 1, 8, tzinfo=UTC)),
        (date(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)),
        (datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 5, 1, 8, tzinfo=UTC)),
        (2021, datetime(2021, 7, 1, tzinfo=UTC)),
        ("2021", datetime(2021, 7, 1, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        *[
            (value, None)
            for value in (None, "", "2024-02-30", "May 2024", "202", 20240501, 1714521600, 2021.0, True, ["2021"], {})
        ],
    ],
)
def test_what_counts_as_a_date(value: Any, when: datetime | None) -> None:
    assert moment(value) == (None if when is None else when - datetime(1970, 1, 1, tzinfo=UTC))


def test_very_old_hits_have_a_score(bench: Bench) -> None:
    bench.lay(*hits(1, 0.5), date=["0001-01-01", "1000-01-01"])
    found = recency(bench, half_life_days=1e-9).postprocess_nodes(bench.nodes)
    assert [item.score for item in found] == pytest.approx([0.7, 0])


def test_the_present_is_that_of_the_clock(bench: Bench) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    bench.lay(*hits(1), date=[yesterday])
    (found,) = build_recency(RecencyOptions(half_life_days=1, weight=1), bench.context).postprocess_nodes(bench.nodes)
    assert found.score == pytest.approx(0.5, abs=1e-3)


# Through a pipeline

CONFIG = """\
name: test
top_k: 2
sources:
  - use: memory
    documents:
      - {uri: a, text: "The ferry leaves the harbour at noon.", metadata: {date: 2020-01-01}}
      - {uri: b, text: "The ferry leaves the harbour at noon.", metadata: {date: 2024-01-01}}
      - {uri: c, text: "The ferry carries no bicycles.", metadata: {date: 2023-01-01}}
      - {uri: d, text: "The harbour is closed in winter.", metadata: {year: 2022}}
      - {uri: e, text: "Cheese is made of milk."}
chunker: {use: sentence, size: 40, overlap: 0}
embedding: fake
vector_store: fake
keyword_store: memory
"""
QUESTION = "When does the ferry leave the harbour?"


def opened(folder: Path, rerankers: str, *plugins: object) -> Pipeline:
    folder.mkdir(exist_ok=True)
    path = folder / "ragkit.yaml"
    path.write_text(f"{CONFIG}rerankers:\n{rerankers}")
    return Pipeline.from_yaml(path, host=Host(plugins=[plugin, *plugins], entry_points=False))


THREE = """\
  - {use: threshold, stage: dense, min_score: 0.1, top_n: 4}
  - {use: mmr, diversity: 0.6, top_n: 3}
  - {use: recency, half_life_days: 100000, weight: 0.01, top_n: 2}
"""


def test_three_stages_in_a_row(tmp_path: Path) -> None:
    with opened(tmp_path, THREE) as pipeline:
        pipeline.ingest()
        found = pipeline.search(QUESTION)
    stages = {stage.name: stage for stage in found.trace.stages}
    told = {name: (stages[name].entered, stages[name].out, stages[name].status) for name in ("threshold", "mmr", "recency")}
    assert told == {"threshold": (5, 4, "ok"), "mmr": (4, 3, "ok"), "recency": (3, 2, "ok")}
    first, second = (hit.uri for hit in found.hits)
    assert first in ("a", "b")
    assert second == "d"  # the double had to wait
    assert found.hits[0].score == found.hits[0].scores["recency"] >= found.hits[1].score
    assert {"dense", "keyword", "fused", "threshold", "mmr", "recency"} <= set(found.hits[0].scores)
    assert found.hits[0].scores["threshold"] == found.hits[0].scores["fused"]
    assert stages["recency"].detail.startswith("1 of 3 hits have no date under 'date'")
    assert set(found.trace.dropped.values()) == {"threshold", "mmr", "recency"}


def test_a_threshold_reads_the_stage_that_it_names(tmp_path: Path) -> None:
    with opened(tmp_path, "  - {use: threshold, stage: keyword, relative: 0.9}\n") as pipeline:
        pipeline.ingest()
        found = pipeline.search(QUESTION, k=5)
        assert [hit.uri for hit in found.hits] in (["a", "b"], ["b", "a"])
    with opened(tmp_path, "  - {use: threshold, name: first, min_score: 1.e9}\n  - mmr\n") as pipeline:
        nothing = pipeline.search(QUESTION)
        assert nothing.hits == ()
        assert [(stage.name, stage.status) for stage in nothing.trace.stages][-1] == ("mmr", "skipped")


def test_the_check_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ragkit.yaml:\d+.*nothing says what to drop; set min_score, relative or both"):
        opened(tmp_path, "  - threshold\n")
    with pytest.raises(ConfigError, match=r"diversity.*at most 1"):
        opened(tmp_path, "  - {use: mmr, diversity: 1.5}\n")


def test_all_are_offered() -> None:
    assert {"mmr", "threshold", "recency", "llm"} <= set(Host(entry_points=False).components(Kind.RERANKER))
