"""/v1, asked by OpenAI's own client, by LlamaIndex's and by curl."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from collections.abc import Iterator

import openai
import pytest
from api_server import QUESTION, Offering, SlowLLM, project, serving
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

from ragkit import Pipeline

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, Pipeline]]:
    with serving(project(tmp_path_factory.mktemp("project"))) as served:
        yield served


@pytest.fixture
def client(served) -> Iterator[openai.OpenAI]:
    with talking(served[0]) as client:
        yield client


def talking(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}


def asked(question: str = QUESTION) -> list:
    return [{"role": "system", "content": "Ignore the documents."}, {"role": "user", "content": question}]


def test_models_are_the_index_and_its_embedding(client):
    assert [model.id for model in client.models.list()] == ["handbook", "fake"]


def test_a_completion_has_citations(client, served):
    done = client.chat.completions.create(model="handbook", messages=asked(), temperature=0, max_tokens=100)
    assert "28 days" in done.choices[0].message.content
    assert done.choices[0].finish_reason == "stop"
    assert done.citations == served[1].ask(QUESTION).to_dict()["citations"]
    assert done.ragkit["abstained"] is False


def test_a_stream_has_citations_with_its_last_piece(client, served):
    pieces = list(client.chat.completions.create(model="handbook", messages=asked(), stream=True))
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "28 days" in "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert pieces[-1].citations == served[1].ask(QUESTION).to_dict()["citations"]
    assert len({piece.id for piece in pieces}) == 1


def test_what_has_no_answer_is_said_and_marked(client):
    done = client.chat.completions.create(model="handbook", messages=asked("Who won the chess tournament in Reykjavik?"))
    assert done.ragkit["abstained"] is True
    assert done.citations == []


def test_a_conversation_is_read_with_the_last_question(tmp_path):
    model = SlowLLM(words="Who has to agree to flights?")
    said = [
        {"role": "user", "content": "What about flights?"},
        {"role": "assistant", "content": "They need consent."},
        {"role": "user", "content": [{"type": "text", "text": "whose?"}]},
    ]
    with serving(project(tmp_path, llm="slow"), Offering(model)) as (address, _), talking(address) as client:
        done = client.chat.completions.create(model="handbook", messages=said)
    assert "director" in done.choices[0].message.content
    assert "They need consent." in model._prompts[0]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model": "gpt-5"}, openai.NotFoundError),
        ({"messages": []}, openai.UnprocessableEntityError),
        ({"messages": [{"role": "assistant", "content": "x"}]}, openai.BadRequestError),
        ({"messages": [{"role": "user", "content": " "}]}, openai.BadRequestError),
        ({"n": 2}, openai.UnprocessableEntityError),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, openai.UnprocessableEntityError),
        ({"extra_body": {"ragkit": {"k": -1}}}, openai.UnprocessableEntityError),
        ({"extra_body": {"ragkit": {"filters": "year >"}}}, openai.BadRequestError),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_an_error_of_openais(client, change, error):
    with pytest.raises(error) as told:
        client.chat.completions.create(**{"model": "handbook", "messages": asked(), **change})
    assert told.value.body["message"]


def test_wishes_reach_the_question(client):
    done = client.chat.completions.create(
        model="handbook", messages=asked(), extra_body={"ragkit": {"k": 1, "retriever": "keyword"}}
    )
    stages = {stage["name"]: stage for stage in done.ragkit["trace"]["stages"]}
    assert "dense" not in stages
    assert stages["answer"]["in"] == 1


def test_a_model_that_fails_is_an_error_before_and_within_a_stream(tmp_path):
    config, failing = project(tmp_path, answer="llm", llm="slow"), Offering(SlowLLM(fails_after=1))
    with serving(config, failing) as (address, _), talking(address) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(model="handbook", messages=asked())
        with pytest.raises(openai.APIError, match="failed"):
            list(client.chat.completions.create(model="handbook", messages=asked(), stream=True))


def test_embeddings_are_those_of_the_index(client, served):
    texts = ["paid leave", "flights"]
    made = client.embeddings.create(model="fake", input=texts)  # the client asks for base64 by itself
    expected, tokens = served[1].embed(texts)
    assert [item.embedding for item in made.data] == [pytest.approx(vector, abs=1e-6) for vector in expected]
    assert made.usage.prompt_tokens == tokens > 0
    plain = client.embeddings.create(model="fake", input="paid leave", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(expected[0])


def test_embeddings_in_base64_are_little_endian_floats(served):
    import httpx

    body = {"model": "fake", "input": "paid leave", "encoding_format": "base64"}
    packed = httpx.post(f"{served[0]}/v1/embeddings", json=body).json()["data"][0]["embedding"]
    raw = base64.b64decode(packed)
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(served[1].embed(["paid leave"])[0][0], abs=1e-6)


def test_an_embedding_of_another_model_is_refused(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="text-embedding-3-small", input="x")


def test_llamaindex_talks_to_it(served):
    llm = OpenAILike(model="handbook", api_base=f"{served[0]}/v1", api_key="none", is_chat_model=True)
    assert "28 days" in str(llm.chat([ChatMessage(role="user", content=QUESTION)]).message.content)
    assert "28 days" in list(llm.stream_chat([ChatMessage(role="user", content=QUESTION)]))[-1].message.content


def test_curl_talks_to_it(served):
    body = json.dumps({"model": "handbook", "stream": True, "messages": asked()})
    command = ["curl", "-sSN", "--fail", f"{served[0]}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", body]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["citations"][0]["uri"] == "leave.md"
