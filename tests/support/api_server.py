"""`ragkit serve` in a thread of the tests, over a small project: the real server, a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import yaml
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.host import Host
from ragkit.server.app import create_app
from ragkit.server.keys import Keys
from ragkit.server.running import _uvicorn
from ragkit.testing import plugin

DOCUMENTS = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year.\n",
    "travel.md": "# Travel\n\nFlights need the consent of the director.\n",
    "office.md": "# Office\n\nThe office is open from seven to nineteen.\n",
}
QUESTION = "How many days of paid leave?"


class SlowLLM(CustomLLM):
    """Says `words`, waiting before each; `said` counts them, `fails_after` ends with an error, `hold` waits for an event."""

    words: str = "Employees have 28 days [1] ."
    wait_s: float = 0.0
    fails_after: int | None = None
    _said: int = PrivateAttr(default=0)
    _prompts: list[str] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=8192, num_output=512, model_name="slow")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._prompts.append(prompt)
        if self.fails_after is not None:
            raise ConnectionError("the model at http://10.0.0.7/secret has gone away")
        time.sleep(self.wait_s)
        return CompletionResponse(text=self.words)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        self._prompts.append(prompt)

        def stream() -> CompletionResponseGen:
            text = ""
            for number, word in enumerate(self.words.split()):
                if number == self.fails_after:
                    raise ConnectionError("the model at http://10.0.0.7/secret has gone away")
                time.sleep(self.wait_s)
                self._said += 1
                text += f"{word} "
                yield CompletionResponse(text=text, delta=f"{word} ")

        return stream()


class Offering:
    """A plugin that offers one LLM under the name `slow`."""

    def __init__(self, llm: CustomLLM) -> None:
        self.llm = llm

    @hookimpl
    def ragkit_llms(self) -> list[Component]:
        return [Component("slow", Options, lambda options, context: self.llm)]


def project(folder: Path, documents: Mapping[str, str] = DOCUMENTS, **more: Any) -> Path:
    """A folder with `docs/` and its configuration."""
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (folder / "docs" / name).write_text(text)
    config = {"name": "handbook", "sources": [{"use": "files", "name": "docs", "path": "docs"}], "embedding": "fake", **more}
    path = folder / "ragkit.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def serving(config: Path, *plugins: object, keys: Keys | None = None, page: bool = False) -> Iterator[tuple[str, Pipeline]]:
    """The address of a server over an ingested project, and its pipeline."""
    with Pipeline.from_yaml(config, host=Host(plugins=[plugin, *plugins])) as pipeline:
        pipeline.ingest()
        with running(pipeline, keys=keys, page=page) as address:
            yield address, pipeline


@contextmanager
def running(pipeline: Pipeline, *, keys: Keys | None = None, page: bool = False) -> Iterator[str]:
    """The address of a server over a pipeline."""
    app = create_app(pipeline, keys=keys or Keys(), page=page)
    settings = _uvicorn(pipeline.config.model_copy(update={"serve": pipeline.config.serve.model_copy(update={"port": 0})}), app)
    settings.log_config = None
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    while "loaded" in httpx.get(f"{address}/readyz").json()["detail"] and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"
