"""LlamaIndex's `HuggingFaceEmbedding`, loaded from a folder, quietly, with batches that suit the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from sentence_transformers.util import batch_to_device

from ragkit.errors import ComponentError
from ragkit_huggingface.batches import batches
from ragkit_huggingface.lanes import Lanes
from ragkit_huggingface.model import Model
from ragkit_huggingface.precision import faster
from ragkit_huggingface.quiet import quiet
from ragkit_huggingface.tokens import Tokens

if TYPE_CHECKING:
    from ragkit_huggingface import HuggingFaceOptions

_TOGETHER = 512
"""Texts that LlamaIndex hands over at once: enough for batches of about equal length to be made of them."""
_TOKENS = 2048
"""Tokens of a batch on a processor: what is computed for them stays near its caches."""
_DEVICE_TOKENS = 65_536
"""Tokens of a batch on another device, which needs many to be busy."""
_MULTIPLE = 8
"""In bfloat16 on a processor, batches are as wide as multiples of so many tokens: for every shape that oneDNN meets it writes
machine code, half a megabyte for each product of matrices, keeps the last thousand and gives little of the rest back, so that
a server which meets ever new shapes would grow."""


class LocalEmbedding(HuggingFaceEmbedding):
    """Embeds in batches of texts of like length, and does not try again what fails: a model on this machine fails for good."""

    max_length: float = Field(description="Tokens that the model reads of a text; infinite for static vectors.", gt=0)  # type: ignore[assignment]

    _together: int = PrivateAttr()
    _tokens: int = PrivateAttr()
    _multiple: int = PrivateAttr()
    _lanes: Lanes = PrivateAttr()

    def query_embeddings(self, queries: Sequence[str]) -> list[list[float]]:
        """Questions of several people, read at once."""
        return self._embed(queries, prompt_name="query")

    def _embed(self, inputs: Sequence[Any], prompt_name: str | None = None) -> list[list[float]]:
        model = self._model
        tokens = Tokens.of(model, inputs, model.prompts.get(prompt_name or "") or None)
        if model.truncate_dim is not None or tokens is None:
            return self._encoded(inputs, prompt_name)
        chosen = batches(tokens.lengths, self._together, self._tokens)
        found = self._lanes.map(lambda batch: self._forward(tokens.features(batch, self._multiple, model.max_seq_length)), chosen)
        vectors: list[list[float]] = [[]] * len(inputs)
        for batch, rows in zip(chosen, found, strict=True):
            for position, vector in zip(batch, rows, strict=True):
                vectors[position] = vector
        return vectors

    def _forward(self, features: dict[str, Any]) -> list[list[float]]:
        """What `encode` does for a batch, without what it does around it: for a question, that is a tenth of the time."""
        with torch.inference_mode():
            vectors = self._model(batch_to_device(features, self._model.device))["sentence_embedding"].float()
            if self.normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1)
        rows: list[list[float]] = vectors.cpu().tolist()
        return rows

    def _encoded(self, inputs: Sequence[Any], prompt_name: str | None) -> list[list[float]]:
        """By sentence-transformers itself, which knows how a model's vectors are cut short."""
        vectors: list[list[float]] = self._model.encode(
            list(inputs),
            batch_size=self._together,
            prompt_name=prompt_name,
            normalize_embeddings=self.normalize,
            show_progress_bar=False,
        ).tolist()
        return vectors


def load(options: HuggingFaceOptions, scratch: Path) -> LocalEmbedding:
    """Load the model that the options name. Raises `ComponentError` where it cannot be loaded."""
    model = Model.find(options, scratch)
    query, text = model.prompts
    settings: dict[str, Any] = {
        "model_name": str(model.folder),
        "device": options.device,
        "max_length": model.max_length,
        "normalize": options.normalize,
        "query_instruction": query or None,
        "text_instruction": text or None,
        "embed_batch_size": max(_TOGETHER, options.batch_size),
        "local_files_only": True,
    }
    with quiet():
        try:
            embedding = LocalEmbedding(**settings)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ComponentError(
                f"the model {options.model!r} cannot be loaded from {model.folder}: {error}",
                component="huggingface",
                cure="check that it is a sentence-transformers model, and that `device` exists here",
            ) from error
    embedding._model.eval()
    if options.dtype == "auto":
        embedding._model = faster(embedding._model)
    on_processor = embedding._model.device.type == "cpu"
    embedding._together = options.batch_size
    embedding._tokens = options.batch_tokens or (_TOKENS if on_processor else _DEVICE_TOKENS)
    halved = any(parameter.dtype == torch.bfloat16 for parameter in embedding._model.parameters())
    embedding._multiple = _MULTIPLE if on_processor and halved else 1
    embedding._lanes = Lanes(torch.get_num_threads() if on_processor else 1)
    embedding.model_name = options.model
    return embedding
