"""A language model that says what the test wants, and a pipeline over a few documents written into its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.config import parse
from ragkit.host import Host
from ragkit.testing import plugin

Script = str | Exception | Callable[[str], str]

DOCUMENTS: tuple[Mapping[str, Any], ...] = tuple(
    {"uri": f"{name}.md", "text": text, "metadata": {"category": category, "year": year, "tags": tags}}
    for name, text, category, year, tags in [
        ("leave", "Every employee has 28 days of paid leave in a year.", "staff", 2019, ["rules"]),
        ("travel", "Flights need the consent of the director.", "staff", 2021, ["rules", "money"]),
        ("office", "The office is open from seven to nineteen.", "house", 2022, ["hours"]),
        ("canteen", "Lunch is served from twelve to two.", "house", 2023, ["hours", "food"]),
        ("secret", "The director's salary and leave are a secret.", "board", 2024, ["money"]),
    ]
)


class ScriptedLLM(CustomLLM):
    """Says `script`: a text, what a function makes of the prompt, or an error. `prompts` has what it was asked."""

    _script: Any = PrivateAttr()
    _prompts: list[str] = PrivateAttr(default_factory=list)

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="scripted")

    @property
    def prompts(self) -> list[str]:
        return self._prompts

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._prompts.append(prompt)
        if isinstance(self._script, Exception):
            raise self._script
        return CompletionResponse(text=self._script(prompt) if callable(self._script) else self._script)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        raise NotImplementedError


class Scripted:
    """A plugin that offers `llm` as `scripted`."""

    def __init__(self, llm: ScriptedLLM) -> None:
        self.llm = llm

    @hookimpl
    def ragkit_llms(self) -> list[Component]:
        return [Component("scripted", Options, lambda options, context: self.llm)]


def configuration(retriever: Any, **more: Any) -> dict[str, Any]:
    """The values of a configuration over `DOCUMENTS`."""
    return {
        "name": "questions", "sources": [{"use": "memory", "name": "docs", "documents": [dict(one) for one in DOCUMENTS]}],
        "embedding": {"use": "fake", "dim": 512}, "vector_store": "fake", "keyword_store": "memory", "llm": "scripted",
        "retriever": retriever, "top_k": 3,
    } | more  # fmt: skip


def open_pipeline(folder: Path, llm: ScriptedLLM, retriever: Any, plugins: Sequence[Any] = (), **more: Any) -> Pipeline:
    """A pipeline over `DOCUMENTS`, ingested."""
    host = Host(plugins=[plugin, Scripted(llm), *plugins])
    pipeline = Pipeline(parse(configuration(retriever, **more), host, folder=folder))
    pipeline.ingest()
    return pipeline


def uris(found: Any) -> list[str]:
    """What was found, best first, by names of documents."""
    return [hit.uri.removesuffix(".md") for hit in found.hits]


def stage(found: Any, name: str) -> Any:
    """The one stage called `name`."""
    (record,) = [record for record in found.trace.stages if record.name == name]
    return record


def stages(found: Any) -> list[str]:
    """The names of all stages, in order."""
    return [record.name for record in found.trace.stages]
