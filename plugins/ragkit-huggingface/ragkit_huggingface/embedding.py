"""LlamaIndex's `HuggingFaceEmbedding`, loaded from a folder, quietly, with batches that suit the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import constants
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from transformers.utils import logging as transformers_logging

from ragkit.errors import ComponentError
from ragkit_huggingface.model import Model

if TYPE_CHECKING:
    from ragkit_huggingface import HuggingFaceOptions

_TOGETHER = 512
"""Texts that LlamaIndex hands over at once: enough for batches of about equal length to be made of them."""


class LocalEmbedding(HuggingFaceEmbedding):
    """Embeds in batches of texts of like length, and does not try again what fails: a model on this machine fails for good."""

    _together: int = PrivateAttr()

    def _embed(self, inputs: Sequence[Any], prompt_name: str | None = None) -> list[list[float]]:
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
    with _quiet():
        try:
            embedding = LocalEmbedding(**settings)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ComponentError(
                f"the model {options.model!r} cannot be loaded from {model.folder}: {error}",
                component="huggingface",
                cure="check that it is a sentence-transformers model, and that `device` exists here",
            ) from error
    embedding._together = options.batch_size
    embedding.model_name = options.model
    return embedding


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars while loading, and no telemetry of the Hugging Face client in this process."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
