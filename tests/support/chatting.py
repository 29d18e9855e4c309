"""A chat page over a few documents, with a language model that does what its question says, served in a thread."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.chat import end_streams
from ragkit.config import parse
from ragkit.host import Host
from ragkit.testing import plugin

BAD = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">"""

DOCUMENTS = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year. Leave is requested from the team lead.\n",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class. Flights need the consent of the director.\n",
    "office.md": "# Office\n\n"
    + "The office has many rooms. " * 60
    + "The office is open from seven to nineteen. "
    + "Rooms. " * 200,
    f"{BAD.replace('/', '')}.md": f"# {BAD}\n\nThe gremlin says {BAD} and [press](javascript:window.hacked=1) every night.\n",
}
"""By file name; one is hostile."""

EVIL = (
    f"{BAD} [press](javascript:window.hacked=1) ![x](http://evil.example/x.png) <b>bold</b> {{{{value}}}} ${{window.hacked=1}} "
    "[out](https://example.org/a) [1]"
)


class TalkativeLLM(CustomLLM):
    """Answers from the first passage. A question with `slowly` waits for `go` after each word, one with `break off` fails
    midway, one with `without source` cites nothing, one with `evil` is answered with hostile text.
    """

    _go: threading.Semaphore = PrivateAttr(default_factory=lambda: threading.Semaphore(0))
    _said: list[str] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="talkative")

    @property
    def go(self) -> threading.Semaphore:
        return self._go

    def forget(self) -> None:
        """Let every answer so far run to its end; those to come wait for a new `go`."""
        self._go.release(1_000)
        self._go = threading.Semaphore(0)

    @property
    def said(self) -> list[str]:
        """Every word so far."""
        return self._said

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """A follow-up question is clear by itself."""
        asked = re.findall(r"<question>\n(.*?)\n</question>", prompt, re.DOTALL)
        return CompletionResponse(text=asked[-1] if asked else "")

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        question, go = prompt.rpartition("uestion")[2], self._go

        def words() -> CompletionResponseGen:
            said = ""
            text = "The documents say it plainly, word for word. [1]"
            text = text.replace(" [1]", "") if "without source" in question else EVIL if "evil" in question else text
            for number, word in enumerate(text.split(" ")):
                if "break off" in question and number == 4:
                    raise RuntimeError("the model's server at /secret/path went away")
                if "slowly" in question:
                    go.acquire(timeout=20)
                self._said.append(word)
                said += f"{word} "
                yield CompletionResponse(text=said, delta=f"{word} ")

        return words()


class Talkative:
    """A plugin that offers `llm` as `talkative`."""

    def __init__(self, llm: TalkativeLLM) -> None:
        self.llm = llm

    @hookimpl
    def ragkit_llms(self) -> list[Component]:
        return [Component("talkative", Options, lambda options, context: self.llm)]


def open_pipeline(folder: Path, llm: TalkativeLLM, **more: Any) -> Pipeline:
    """A pipeline over `DOCUMENTS`, ingested."""
    (folder / "docs").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    values = {
        "name": "Handbook", "sources": [{"use": "files", "path": "docs"}], "embedding": {"use": "fake", "dim": 512},
        "vector_store": "fake", "keyword_store": "memory", "llm": "talkative", "answer": {"use": "llm"}, "top_k": 3,
        "retriever": {"use": "hybrid", "alpha": 0.6}, "rerankers": [{"use": "mmr"}], **more,
    }  # fmt: skip
    pipeline = Pipeline(parse(values, Host(plugins=[plugin, Talkative(llm)]), folder=folder))
    pipeline.ingest()
    return pipeline


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The address of an app, served in a thread as long as the block."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.servers[0].get_loop().call_soon_threadsafe(end_streams, app)
        server.should_exit = True
        thread.join(timeout=10)
