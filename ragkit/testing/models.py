"""A deterministic embedding and an LLM that repeats."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CompletionResponseGen, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback

from ragkit.words import plain_terms

_REMEMBERED = 100_000


class FakeEmbedding(BaseEmbedding):
    """Unit vectors of hashed words: texts that share words have a cosine near 1, others one near 0.

    `calls` counts the calls that reached the model, `embedded` the texts in them.
    """

    dim: int = 64
    seed: int = 0

    _calls: int = PrivateAttr(default=0)
    _embedded: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _places: dict[str, tuple[int, float]] = PrivateAttr(default_factory=dict)

    def __init__(self, dim: int = 64, seed: int = 0, **kwargs: Any) -> None:
        values: dict[str, Any] = {"dim": dim, "seed": seed, "model_name": f"fake-{dim}-{seed}", "embed_batch_size": 32}
        super().__init__(**{**values, **kwargs})

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.FakeEmbedding"

    @property
    def calls(self) -> int:
        """How many calls reached the model."""
        return self._calls

    @property
    def embedded(self) -> int:
        """How many texts went through the model, questions included."""
        return self._embedded

    def vector(self, text: str) -> list[float]:
        """The vector of `text`, uncounted: each word adds 1 or −1 in one of `dim` places, then the sum gets length 1."""
        vector, known = [0.0] * self.dim, self._places
        for word, count in Counter(plain_terms(text)).items():
            place, value = known.get(word) or self._place(word)
            vector[place] += value * count
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector] if length else [1.0, *vector[1:]]

    def _place(self, word: str) -> tuple[int, float]:
        """Where a word adds what; remembered, for most words come often."""
        digest = int.from_bytes(hashlib.blake2b(f"{self.seed}:{word}".encode(), digest_size=8).digest(), "big")
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        self._places[word] = found = (digest >> 1) % self.dim, 1.0 if digest & 1 else -1.0
        return found

    def _embed(self, texts: list[str]) -> list[list[float]]:
        with self._lock:
            self._calls += 1
            self._embedded += len(texts)
        return [self.vector(text) for text in texts]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embed(texts)


class RepeatingLLM(CustomLLM):
    """Answers with `text`, or where that is None with its prompt; streams word by word. `prompts` has what it was asked."""

    text: str | None = None

    _prompts: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.RepeatingLLM"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(context_window=8192, num_output=512, model_name="repeat")

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt so far, in order."""
        return tuple(self._prompts)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._prompts.append(prompt)
        return CompletionResponse(text=prompt if self.text is None else self.text)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        self._prompts.append(prompt)
        answer = prompt if self.text is None else self.text

        def stream() -> CompletionResponseGen:
            said = ""
            for word in answer.split(" "):
                delta = f" {word}" if said else word
                said += delta
                yield CompletionResponse(text=said, delta=delta)

        return stream()
