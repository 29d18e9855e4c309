"""The pipeline from Python: what DESIGN promises of it, also inside LlamaIndex, in threads and in an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.tools import QueryEngineTool
from projects import Project

from ragkit import Pipeline
from ragkit.errors import MismatchError, QueryError, StateError
from ragkit.query.answer import Answer

PAGES = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year. Leave is requested from the team lead.\n",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class. Flights need the consent of the director.\n",
    "office.md": "# Office\n\nThe office is open from seven to nineteen. Visitors sign the book at the entrance.\n",
}


@pytest.fixture
def pipeline(project: Project) -> Pipeline:
    for name, text in PAGES.items():
        project.write(name, text)
    opened = project.open()
    opened.ingest()
    return opened


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project", size=20)


def test_search_gives_llamaindex_nodes_and_a_trace(pipeline: Pipeline) -> None:
    result = pipeline.search("Who has to consent to flights?", k=2)
    assert len(result.nodes) == 2
    assert all(isinstance(node, NodeWithScore) for node in result.nodes)
    assert result.nodes[0].node.metadata["uri"] == "travel.md"
    assert [hit.rank for hit in result.hits] == [1, 2]
    assert {"dense", "keyword", "fused"} <= {stage.name for stage in result.trace.stages}
    assert set(result.hits[0].scores) >= {"dense", "keyword", "fused"}
    assert result.trace.total_ms > 0


def test_an_answer_cites_exact_quotes(pipeline: Pipeline, project: Project) -> None:
    answer = pipeline.ask("How many days of paid leave has every employee?")
    assert not answer.abstained
    assert "28 days" in answer.text
    for citation in answer.citations:
        text = (project.docs / citation.uri).read_text()
        assert text[citation.start : citation.end] == citation.quote
        assert f"[{citation.n}]" in answer.text


async def test_the_event_loop_stays_free(pipeline: Pipeline) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beat())
    answers = await asyncio.gather(*(pipeline.aask("How many days of paid leave?") for _ in range(8)))
    heart.cancel()
    assert {answer.text for answer in answers} == {pipeline.ask("How many days of paid leave?").text}
    assert beats > 3


async def test_a_streamed_answer_is_the_whole_one_in_pieces(pipeline: Pipeline) -> None:
    pieces = [piece async for piece in pipeline.astream("How many days of paid leave?")]
    answer = pieces.pop()
    assert isinstance(answer, Answer)
    assert len(pieces) > 3
    assert "".join(str(piece) for piece in pieces).split() == answer.text.split()


def test_the_query_engine_is_llamaindex_s_own(pipeline: Pipeline) -> None:
    engine = pipeline.query_engine()
    assert type(engine) is RetrieverQueryEngine
    seen: list[RetrievalEndEvent] = []

    class Listener(BaseEventHandler):
        def handle(self, event: object, **more: object) -> None:
            if isinstance(event, RetrievalEndEvent):
                seen.append(event)

    handler = Listener()
    get_dispatcher().add_event_handler(handler)
    try:
        response = engine.query("When is the office open?")
        nodes = engine.retrieve(QueryBundle("When is the office open?"))
    finally:
        get_dispatcher().event_handlers.remove(handler)
    assert "seven to nineteen" in str(response)
    assert response.source_nodes[0].node.metadata["uri"] == nodes[0].node.metadata["uri"] == "office.md"
    assert seen, "observability made for LlamaIndex sees the retrieval"
    tool = QueryEngineTool.from_defaults(engine, name="handbook", description="The handbook")
    assert "28 days" in str(tool.call("How many days of paid leave?"))


def test_threads_share_a_pipeline(pipeline: Pipeline) -> None:
    questions = ["How many days of paid leave?", "When is the office open?", "Who consents to flights?"] * 40
    with ThreadPoolExecutor(30) as pool:
        found = list(pool.map(lambda question: pipeline.search(question).hits[0].uri, questions))
    assert found == ["leave.md", "office.md", "travel.md"] * 40


def test_alpha_is_a_setting_of_one_query(pipeline: Pipeline) -> None:
    dense = pipeline.search("office visitors", alpha=1.0)
    assert [stage.status for stage in dense.trace.stages if stage.name == "keyword"] == ["skipped"]
    with pytest.raises(QueryError, match="alpha"):
        pipeline.search("office", alpha=1.5)
    with pytest.raises(QueryError, match="alfa"):
        pipeline.search("office", alfa=0.5)


def test_a_database_that_does_not_answer_is_named_without_its_password(project: Project) -> None:
    project.write("a.md", "# A\n\nText.\n")
    pipeline = project.open(overrides=("state=postgresql://somebody:secret@localhost:1/db",))
    for attempt in (pipeline.ingest, lambda: pipeline.search("Text?"), pipeline.status):
        with pytest.raises(StateError, match=r"the state in localhost:1/db cannot be used: .*Connection refused") as caught:
            attempt()
        assert "secret" not in str(caught.value)
        assert "see that PostgreSQL runs at the address in `state`" in caught.value.cure


def test_a_question_makes_no_state(project: Project) -> None:
    with project.open() as pipeline:
        for attempt in (pipeline.search, pipeline.ask):
            with pytest.raises(MismatchError, match="nothing has been ingested yet into"):
                attempt("Anything?")
            with pytest.raises(QueryError, match="empty"):
                attempt("  ")
    assert not (project.folder / ".ragkit").exists()


def test_the_state_keeps_itself_out_of_git(pipeline: Pipeline, project: Project) -> None:
    assert (project.folder / ".ragkit" / ".gitignore").read_text() == "*\n"
