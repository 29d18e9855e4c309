"""The LLM `openai` against servers that speak the API, well and badly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import LLM
from openai_server import OpenAIServer, openai_server
from pydantic import ValidationError
from tiny_llm import make_model, serving

import ragkit_openai
from ragkit import Pipeline
from ragkit.errors import ComponentError
from ragkit.host import Host
from ragkit.testing import build_context, plugin
from ragkit_openai import OpenAIOptions

SECRET = "sk-very-secret-key"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


def model(server: OpenAIServer, folder: Path, **options: Any) -> LLM:
    given = {"model": "some", "base_url": server.url, "retries": 0, **options}
    return ragkit_openai.build(OpenAIOptions.model_validate(given), build_context(folder))


async def test_answers_whole_and_in_pieces(server: OpenAIServer, tmp_path: Path) -> None:
    llm = model(server, tmp_path)
    assert str(llm.complete("How many?")) == "It has 28 days [1]."
    assert str(await llm.acomplete("How many?")) == "It has 28 days [1]."
    assert [piece.delta for piece in llm.stream_complete("How many?")][:3] == ["It ", "has ", "28 "]
    pieces = [piece async for piece in await llm.astream_complete("How many?")]
    await llm._get_aclient().close()
    assert pieces[-1].text == "It has 28 days [1]."
    assert len(server.requests) == 4
    assert all(request["messages"] == [{"role": "user", "content": "How many?"}] for request in server.requests)


def test_completions_where_there_is_no_chat(server: OpenAIServer, tmp_path: Path) -> None:
    llm = model(server, tmp_path, chat=False)
    assert str(llm.complete("How many?")) == "It has 28 days [1]."
    assert "".join(piece.delta or "" for piece in llm.stream_complete("How many?")) == "It has 28 days [1]."
    assert server.prompt() == "How many?"


def test_the_request_says_what_the_yaml_says_and_no_more(server: OpenAIServer, tmp_path: Path) -> None:
    model(server, tmp_path).complete("?")
    assert server.requests[-1].keys() == {"messages", "model", "stream"}
    model(server, tmp_path, temperature=0.2, max_tokens=50, extra={"reasoning_effort": "low"}).complete("?")
    told = {key: server.requests[-1][key] for key in ("temperature", "max_tokens", "reasoning_effort")}
    assert told == {"temperature": 0.2, "max_tokens": 50, "reasoning_effort": "low"}


def test_the_key_goes_where_it_belongs(server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    model(server, tmp_path).complete("?")
    assert SECRET not in str(server.headers), "the key of OpenAI went to another server"
    server.key = "mine"
    assert str(model(server, tmp_path, api_key="mine").complete("?"))
    official = ragkit_openai.build(OpenAIOptions(model="gpt-5-mini"), build_context(tmp_path))
    assert official.api_key == SECRET
    monkeypatch.delenv("OPENAI_API_KEY")
    keyless = ragkit_openai.build(OpenAIOptions(model="gpt-5-mini"), build_context(tmp_path))
    with pytest.raises(ComponentError, match=r"wants a key, and there is none\s+→ set OPENAI_API_KEY"):
        keyless.complete("?")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ({"key": "other"}, r"refuses the key \(401\)\s+→ check llm.api_key"),
        ({"status": 404, "failures": -1, "message": "no model some"}, "does not know the model 'some'.*no model some"),
        ({"status": 429, "failures": -1, "message": "quota"}, "takes no more requests for now.*quota"),
        ({"status": 500, "failures": -1}, "answered 500.*refused"),
        ({"silent_s": 1.0}, r"was silent for 0.3 s\s+→ raise llm.timeout"),
        ({"garbage": True}, "answered with what is no answer"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_trouble_is_told_without_the_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: dict[str, Any], told: str, streaming: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    with openai_server(**trouble) as server:
        llm = model(server, tmp_path, api_key=SECRET, timeout=0.3)
        with pytest.raises(ComponentError, match=told) as raised:
            list(llm.stream_complete("?")) if streaming else llm.complete("?")
    assert SECRET not in f"{raised.value} {raised.value.__cause__} {caplog.text}"


async def test_an_answer_that_stops_midway_is_no_answer(server: OpenAIServer, tmp_path: Path) -> None:
    server.stop_after = 3
    llm = model(server, tmp_path)
    found: list[str] = []
    with pytest.raises(ComponentError, match=r"stopped in the middle of its answer\s+→ ask again"):
        found.extend(piece.delta or "" for piece in llm.stream_complete("?"))
    with pytest.raises(ComponentError, match="stopped in the middle"):
        [piece async for piece in await llm.astream_complete("?")]
    await llm._get_aclient().close()


def test_what_is_refused_is_asked_again(server: OpenAIServer, tmp_path: Path) -> None:
    server.status, server.failures = 503, 2
    assert str(model(server, tmp_path, retries=2).complete("?")) == "It has 28 days [1]."
    assert len(server.requests) == 3
    server.failures = 3
    with pytest.raises(ComponentError, match="answered 503"):
        model(server, tmp_path, retries=2).complete("?")
    assert len(server.requests) == 6, "repeated by the client, and not once more by LlamaIndex"


def test_nobody_there(tmp_path: Path) -> None:
    with openai_server() as gone:
        pass
    with pytest.raises(ComponentError, match="cannot be reached"):
        model(gone, tmp_path).complete("?")


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc", "http://user:key@host/v1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        OpenAIOptions(model="some", base_url=url)


def test_a_pipeline_answers_with_citations(server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text("---\ntitle: Leave\nauthor: Ada\n---\nAn employee has 28 days of paid leave.\n")
    (tmp_path / "ragkit.yaml").write_text(
        "name: test\nsources: [{use: files, path: docs}]\nembedding: fake\nvector_store: memory\nkeyword_store: memory\n"
        "answer: {use: llm, abstain_below: 0}\n"
        f"llm: {{use: openai, model: some, base_url: '{server.url}', retries: 0}}\n"
    )
    with Pipeline.from_yaml(tmp_path / "ragkit.yaml", host=Host(plugins=[plugin])) as pipeline:
        pipeline.ingest()
        answer = pipeline.ask("How many days of paid leave?")
        assert answer.text == "It has 28 days [1]."
        assert [citation.quote for citation in answer.citations] == ["An employee has 28 days of paid leave."]
        assert "[1] (Leave; Ada)\nAn employee has 28 days" in server.prompt()
        server.script = lambda request: "Nobody knows."
        assert pipeline.ask("How many days of paid leave?").to_dict()["uncited"] is True


@pytest.mark.service
async def test_a_real_server(tmp_path: Path) -> None:
    """A tiny model behind the server of `transformers`: whole, in pieces, and a name that it does not know."""
    folder = make_model(tmp_path / "tiny")
    with serving(folder) as url:
        given = {"base_url": url, "max_tokens": 8, "temperature": 0.0, "timeout": 60.0}
        llm = ragkit_openai.build(OpenAIOptions(model=str(folder), **given), build_context(tmp_path))
        whole = str(llm.complete("word1 word2 word3"))
        assert len(whole.split()) == 8
        assert "".join(piece.delta or "" for piece in llm.stream_complete("word1 word2 word3")) == whole
        assert str(await llm.acomplete("word1 word2 word3")) == whole
        await llm._get_aclient().close()
