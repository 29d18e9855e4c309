"""/search, /ask, /documents, /runs and health, over a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from api_server import QUESTION, Offering, SlowLLM, project, running, serving

from ragkit import Pipeline
from ragkit.host import Host
from ragkit.testing import plugin

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[httpx.Client, Pipeline]]:
    with serving(project(tmp_path_factory.mktemp("project"))) as (address, pipeline), httpx.Client(base_url=address) as client:
        yield client, pipeline


@pytest.fixture
def client(served) -> httpx.Client:
    return served[0]


def test_search_gives_what_the_command_gives(served):
    client, pipeline = served
    told = client.post("/search", json={"query": QUESTION, "k": 2}).json()
    expected = pipeline.search(QUESTION, k=2).to_dict()
    assert [hit["uri"] for hit in told["hits"]] == [hit["uri"] for hit in expected["hits"]]
    assert told.keys() == expected.keys()
    assert len(told["hits"]) == 2


def test_ask_gives_an_answer_whose_citations_stand_in_the_documents(client):
    told = client.post("/ask", json={"query": QUESTION}).json()
    citation = told["citations"][0]
    text = client.get(f"/documents/{citation['document_id']}").json()["text"]
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert "28 days" in told["answer"]


def events(response: httpx.Response) -> list[tuple[str, dict]]:
    parts = [part for part in response.text.split("\n\n") if part]
    return [
        (part.split("\n")[0].removeprefix("event: "), json.loads(part.split("\n")[1].removeprefix("data: "))) for part in parts
    ]


def test_ask_streams_pieces_and_then_the_whole(client):
    response = client.post("/ask", json={"query": QUESTION, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response)
    assert told[-1][0] == "answer"
    assert "".join(data["text"] for name, data in told if name == "piece").strip() == told[-1][1]["answer"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": ""}, 422, "invalid_request"),
        ({"query": "   "}, 400, "invalid_question"),
        ({}, 422, "invalid_request"),
        ({"query": "x", "k": 0}, 422, "invalid_request"),
        ({"query": "x", "kk": 1}, 422, "invalid_request"),
        ({"query": "x", "filters": "year >"}, 400, "invalid_question"),
        ({"query": "x", "rerankers": ["none"]}, 400, "invalid_question"),
        ({"query": "x", "retriever": "dense", "alpha": 0.5}, 400, "invalid_question"),
        ({"query": "x" * 40_000}, 422, "invalid_request"),
        (["query"], 422, "invalid_request"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(client, body, status, code):
    response = client.post("/search", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["message"]


def test_what_is_no_json_is_told(client):
    response = client.post("/search", content=b'{"query": ', headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


def test_a_leg_can_be_asked_alone(client):
    told = client.post("/search", json={"query": QUESTION, "retriever": "keyword"}).json()
    stages = [stage["name"] for stage in told["trace"]["stages"]]
    assert "keyword" in stages
    assert "dense" not in stages


def test_an_upload_is_answerable_at_once_and_gone_when_it_is_deleted(client):
    made = client.post("/documents", files={"file": ("../../etc/bees.md", b"# Bees\n\nBees dance to tell the way to flowers.\n")})
    assert made.status_code == 201
    assert made.json()["uri"] == "bees.md"
    hits = client.post("/search", json={"query": "how do bees tell the way?"}).json()["hits"]
    assert (hits[0]["uri"], hits[0]["source"]) == ("bees.md", "uploads")
    again = client.post("/documents", files={"file": ("bees.md", b"# Bees\n\nBees sleep in winter.\n")})
    assert (again.status_code, again.json()["outcome"]) == (200, "updated")
    assert "sleep" in client.post("/ask", json={"query": "when do bees sleep?"}).json()["answer"]
    gone = client.delete(f"/documents/{made.json()['document_id']}")
    assert gone.json() == {"document_id": made.json()["document_id"], "uri": "bees.md", "deleted": True}
    assert all(hit["uri"] != "bees.md" for hit in client.post("/search", json={"query": "bees"}).json()["hits"])
    assert client.delete(f"/documents/{made.json()['document_id']}").status_code == 404


def test_a_document_of_another_source_is_not_deleted(client):
    hit = client.post("/search", json={"query": QUESTION}).json()["hits"][0]
    response = client.delete(f"/documents/{hit['document_id']}")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "owned_by_another_source")
    assert client.get(f"/documents/{hit['document_id']}").status_code == 200


@pytest.mark.parametrize("name", ["x.exe", "x", "..", "/", "x.md\x00.exe", "a" * 300 + ".md"])
def test_what_is_no_document_is_refused(client, name):
    response = client.post("/documents", files={"file": (name, b"some text")})
    assert response.status_code == 422
    assert response.json()["error"]["message"]


def test_a_broken_file_is_refused_and_nothing_is_kept(served):
    client, pipeline = served
    before = pipeline.status().documents
    response = client.post("/documents", files={"file": ("broken.pdf", b"%PDF-1.7 and then nothing")})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "document_refused")
    assert pipeline.status().documents == before
    assert not pipeline.has_upload("broken.pdf")


@pytest.mark.parametrize("path", ["/documents/none", "/documents/00000000-0000-0000-0000-000000000000", "/runs/999", "/nothing"])
def test_what_is_not_there_is_404(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["message"]


def test_runs_are_listed(client):
    listed = client.get("/runs").json()["runs"]
    assert listed[0]["status"] == "done"
    assert client.get(f"/runs/{listed[0]['id']}").json() == listed[0]


def test_health_and_metrics(client):
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["status"] == "ready"
    client.post("/ask", json={"query": QUESTION})
    client.get("/documents/none")
    text = client.get("/metrics").text
    for line in (
        'ragkit_requests_total{method="POST",route="/ask",status="200"}',
        'ragkit_stage_seconds_count{stage="dense"}',
        'ragkit_view_lag{kind="vector",view="faiss"} 0.0',
        'ragkit_cache_hits_total{layer="memory"}',
        'ragkit_errors_total{code="404"}',
        "ragkit_index_ready 1.0",
    ):
        assert line in text


def test_an_index_that_is_not_there_is_not_ready_and_says_no_path(tmp_path):
    with Pipeline.from_yaml(project(tmp_path), host=Host(plugins=[plugin])) as pipeline, running(pipeline) as address:
        ready, asked = httpx.get(f"{address}/readyz"), httpx.post(f"{address}/ask", json={"query": "x"})
    assert (ready.status_code, asked.status_code, asked.headers["retry-after"]) == (503, 503, "5")
    assert "ragkit ingest" in ready.json()["detail"]
    assert str(tmp_path) not in ready.text + asked.text


def test_request_ids_are_kept_or_made_and_the_answer_is_not_sniffed(client):
    assert client.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = client.get("/healthz", headers={"X-Request-Id": "a b"}).headers
    assert len(made["x-request-id"]) == 32
    assert made["x-content-type-options"] == "nosniff"


def llm(**options) -> tuple[SlowLLM, dict]:
    return SlowLLM(**options), {"answer": "llm", "llm": "slow"}


def test_a_model_that_fails_midway_is_told_and_says_nothing_of_where_it_is(tmp_path):
    model, more = llm(fails_after=2)
    with serving(project(tmp_path, **more), Offering(model)) as (address, _):
        streamed = httpx.post(f"{address}/ask", json={"query": QUESTION, "stream": True})
        whole = httpx.post(f"{address}/ask", json={"query": QUESTION})
    assert [name for name, _ in events(streamed)] == ["piece", "piece", "error"]
    assert whole.status_code == 502
    assert whole.json()["error"]["code"] == "component_failed"
    assert "10.0.0.7" not in streamed.text + whole.text


def test_work_stops_when_the_client_leaves(tmp_path):
    model, more = llm(words="word " * 200, wait_s=0.02)
    with serving(project(tmp_path, **more), Offering(model)) as (address, _):
        for streams in (True, False):
            model._said = 0
            leave_early(f"{address}/ask", {"query": QUESTION, "stream": streams})
            before = -1
            while model._said != before:
                before = model._said
                time.sleep(0.1)
            assert 0 < model._said < 100


def leave_early(url: str, body: dict) -> None:
    """Ask, and leave with the first piece, or after half a second without one."""
    with suppress(httpx.ReadTimeout), httpx.Client(timeout=0.5) as client, client.stream("POST", url, json=body) as response:
        next(response.iter_bytes())


def test_an_answer_that_takes_too_long_is_given_up(tmp_path):
    model, more = llm(words="word " * 100, wait_s=0.05)
    with serving(project(tmp_path, serve={"timeout": 0.5}, **more), Offering(model)) as (address, _):
        response = httpx.post(f"{address}/ask", json={"query": QUESTION})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
    assert model._said < 60


def test_too_many_at_once_are_told_to_come_back_while_health_answers(tmp_path):
    model, more = llm(words="word " * 10, wait_s=0.1)
    config = project(tmp_path, serve={"concurrency": 2, "waiting": 2}, **more)
    with serving(config, Offering(model)) as (address, _):
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{address}/ask", json={"query": QUESTION}, timeout=30))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert time.monotonic() - began < 1
        for thread in threads:
            thread.join()
    busy = [answer for answer in answers if answer.status_code == 503]
    assert len(busy) == 8
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in busy)
    assert sum(answer.status_code == 200 for answer in answers) == 4


def test_follow_up_questions_are_read_with_what_was_said(tmp_path):
    model = SlowLLM(words="How many days of paid leave has every employee?")
    with serving(project(tmp_path, llm="slow"), Offering(model)) as (address, _):
        history = [{"question": "What about leave?", "answer": "There is paid leave."}]
        told = httpx.post(f"{address}/ask", json={"query": "how many days?", "history": history}).json()
    assert told["query"] == "how many days?"
    assert told["citations"][0]["uri"] == "leave.md"
    stage = next(stage for stage in told["trace"]["stages"] if stage["name"] == "follow-up")
    assert stage["detail"] == "asked for: How many days of paid leave has every employee?"
    assert "There is paid leave." in model._prompts[0]


@pytest.mark.parametrize("words", ["\ud83d\x00\x1b[31m [99] [1] <script>alert(1)</script>", "[1][2][3][1]" * 500, "\u202e" * 50])
def test_a_model_that_says_garbage_breaks_nothing(tmp_path, words):
    with serving(project(tmp_path, answer="llm", llm="slow"), Offering(SlowLLM(words=words))) as (address, _):
        whole = httpx.post(f"{address}/ask", json={"query": QUESTION})
        streamed = httpx.post(f"{address}/ask", json={"query": QUESTION, "stream": True})
        assert whole.status_code == streamed.status_code == 200
        last = events(streamed)[-1]
        assert last[0] == "answer"
        assert last[1]["answer"] == whole.json()["answer"]
        for told in (whole.json(), last[1]):
            assert all(citation["n"] <= len(told["hits"]) for citation in told["citations"])
            assert "[99]" not in told["answer"]
        assert httpx.post(f"{address}/search", json={"query": QUESTION}).status_code == 200


def test_a_model_that_says_nothing_is_an_error(tmp_path):
    with serving(project(tmp_path, answer="llm", llm="slow"), Offering(SlowLLM(words=" "))) as (address, _):
        response = httpx.post(f"{address}/ask", json={"query": QUESTION})
    assert (response.status_code, response.json()["error"]["code"]) == (502, "component_failed")
