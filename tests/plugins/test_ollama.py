"""The LLM `ollama` against a server that speaks Ollama's chat, well and badly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.llms import LLM
from ollama_server import OllamaServer, ollama_server
from pydantic import ValidationError

import ragkit_ollama
from ragkit.errors import ComponentError
from ragkit.testing import build_context
from ragkit_ollama import OllamaOptions

SECRET = "very-secret-key"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server() as running:
        yield running


def model(server: OllamaServer, folder: Path, **options: Any) -> LLM:
    given = {"model": "some", "base_url": server.url, **options}
    return ragkit_ollama.build(OllamaOptions.model_validate(given), build_context(folder))


async def test_answers_whole_and_in_pieces(server: OllamaServer, tmp_path: Path) -> None:
    llm = model(server, tmp_path)
    assert llm.metadata.context_window == 8_192
    assert server.requests == [], "nobody is asked before the first question"
    assert str(llm.complete("How many?")) == "It has 28 days [1]."
    assert str(await llm.acomplete("How many?")) == "It has 28 days [1]."
    assert [piece.delta for piece in llm.stream_complete("How many?")][:3] == ["It ", "has ", "28 "]
    assert [piece async for piece in await llm.astream_complete("How many?")][-1].text == "It has 28 days [1]. "
    await llm.async_client._client.aclose()
    assert {request["path"] for request in server.requests} == {"/api/chat"}
    assert all(request["options"] == {"num_ctx": 8_192} for request in server.requests)
    assert all("authorization" not in headers for headers in server.headers)


def test_the_request_says_what_the_yaml_says(server: OllamaServer, tmp_path: Path) -> None:
    given = {"temperature": 0.2, "max_tokens": 50, "context_window": 4_096, "extra": {"top_p": 0.9}, "keep_alive": "30m"}
    model(server, tmp_path, api_key=SECRET, thinking=False, **given).complete("?")
    request = server.requests[-1]
    assert request["options"] == {"num_ctx": 4_096, "temperature": 0.2, "num_predict": 50, "top_p": 0.9}
    assert request["keep_alive"] == "30m"
    assert server.headers[-1]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ({"status": 404}, r"does not know the model 'some'\s+→ run `ollama pull some`"),
        ({"status": 500}, "answered 500"),
        ({"silent_s": 1.0}, r"was silent for 0.3 s\s+→ raise llm.timeout"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_trouble_is_told_without_the_key(tmp_path: Path, trouble: dict[str, Any], told: str, streaming: bool) -> None:
    with ollama_server(**trouble) as server:
        llm = model(server, tmp_path, api_key=SECRET, timeout=0.3)
        with pytest.raises(ComponentError, match=told) as raised:
            list(llm.stream_complete("?")) if streaming else llm.complete("?")
    assert SECRET not in f"{raised.value} {raised.value.__cause__}"


async def test_an_answer_that_stops_midway_is_no_answer(server: OllamaServer, tmp_path: Path) -> None:
    server.stop_after = 3
    llm = model(server, tmp_path)
    with pytest.raises(ComponentError, match=r"stopped in the middle of its answer\s+→ ask again"):
        list(llm.stream_complete("?"))
    with pytest.raises(ComponentError, match="stopped in the middle"):
        [piece async for piece in await llm.astream_complete("?")]
    await llm.async_client._client.aclose()


def test_nobody_there(tmp_path: Path) -> None:
    with ollama_server() as gone:
        pass
    with pytest.raises(ComponentError, match=r"cannot be reached[\s\S]*run `ollama serve`"):
        model(gone, tmp_path).complete("?")


@pytest.mark.parametrize("url", ["localhost:11434", "http://user:key@host"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        OllamaOptions(model="some", base_url=url)
