"""The record of a query."""

from __future__ import annotations

import json
import threading
import time

import pytest

from ragkit.components import Run
from ragkit.query.run import QueryRun
from ragkit.query.trace import Recorder, StageRecord, Trace


def test_the_dictionary_is_the_documented_json():
    recorder = Recorder(generation=3)
    with recorder.stage("dense") as stage:
        stage.hits(["a", "b"], [0.9, 0.5])
    trace = recorder.trace().to_dict()
    assert json.loads(json.dumps(trace)) == trace
    assert set(trace) == {"total_ms", "generation", "stages", "dropped"}
    assert trace["generation"] == 3
    assert [set(stage) for stage in trace["stages"]] == [{"name", "ms", "in", "out", "status", "detail"}]
    assert trace["stages"][0] | {"ms": 0} == {"name": "dense", "ms": 0, "in": 0, "out": 2, "status": "ok", "detail": ""}


def test_scores_and_ranks_are_kept_per_chunk_and_stage():
    recorder = Recorder()
    with recorder.stage("dense") as stage:
        stage.hits(["a", "b"], [0.9, 0.5])
    with recorder.stage("keyword") as stage:
        stage.hits(["b"], [7.0])
        stage.scored(["a"], [0.0])
    trace = recorder.trace()
    assert trace.scores_of("a") == {"dense": 0.9, "keyword": 0.0}
    assert trace.ranks_of("a") == {"dense": 1}
    assert trace.ranks_of("b") == {"dense": 2, "keyword": 1}


def test_a_stage_entered_twice_is_one_record():
    recorder = Recorder()
    with recorder.stage("dense") as stage:
        stage.hits(["a"], [0.9])
    with recorder.stage("dense", entered=2) as stage:
        stage.scored(["b", "c"], [0.1, 0.2])
    (record,) = recorder.trace().stages
    assert (record.entered, record.out) == (2, 1)
    assert recorder.trace().scores["dense"] == {"a": 0.9, "b": 0.1, "c": 0.2}


def test_time_that_stages_share_is_accounted_for_once():
    stages = [
        StageRecord("dense", 30, 0, 0, "ok", "", ((0, 10), (20, 40))),
        StageRecord("keyword", 10, 0, 0, "ok", "", ((5, 15),)),
        StageRecord("answer", 5, 0, 0, "ok", "", ((50, 55),)),
    ]
    assert Trace(total_ms=60, generation=1, stages=tuple(stages)).accounted_ms == 15 + 20 + 5


def test_a_stage_knows_when_it_was_at_work():
    recorder = Recorder()
    for _ in range(2):
        with recorder.stage("dense"):
            time.sleep(0.002)
    trace = recorder.trace()
    (stage,) = trace.stages
    assert len(stage.spans) == 2
    assert stage.ms == pytest.approx(sum(ended - began for began, ended in stage.spans))
    assert trace.accounted_ms == pytest.approx(stage.ms)
    assert stage.spans[1][1] <= trace.total_ms


def test_an_error_is_written_down_and_goes_on():
    recorder = Recorder()
    with pytest.raises(RuntimeError), recorder.stage("dense"):
        raise RuntimeError("the store is away\nand more")
    (record,) = recorder.trace().stages
    assert (record.status, record.detail) == ("degraded", "RuntimeError: the store is away")
    assert recorder.trace().degraded


def test_degraded_outweighs_skipped():
    recorder = Recorder()
    with recorder.stage("x") as stage:
        stage.degraded("half of it")
        stage.skipped("the rest")
    assert recorder.trace().stages[0].status == "degraded"
    assert recorder.trace().stages[0].detail == "half of it; the rest"


def test_threads_share_a_recorder():
    recorder = Recorder()

    def work(name: str) -> None:
        for _ in range(200):
            with recorder.stage(name, entered=1):
                pass

    threads = [threading.Thread(target=work, args=(f"stage {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((stage.name, stage.entered) for stage in recorder.trace().stages) == [(f"stage {n}", 200) for n in range(4)]


def test_a_trace_is_frozen():
    recorder = Recorder()
    with recorder.stage("dense") as stage:
        stage.hits(["a"], [1.0])
        before = recorder.trace()
        stage.hits(["b"], [2.0])
    assert before.scores == {"dense": {"a": 1.0}}
    with pytest.raises(AttributeError):
        before.generation = 4  # type: ignore[misc]


def test_a_query_run_satisfies_the_contract():
    run: Run = QueryRun("why?", 5)
    with run.stage("x", entered=1) as stage:
        stage.note("fine")
    assert run.top_k == 5
