"""LlamaIndex's `HuggingFaceEmbedding`, loaded from a folder, quietly, with batches that suit the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from sentence_transformers.util import batch_to_device

from ragkit.errors import ComponentError
from ragkit_huggingface.batches import batches
from ragkit_huggingface.model import Model
from ragkit_huggingface.precision import faster
from ragkit_huggingface.quiet import quiet

if TYPE_CHECKING:
    from ragkit_huggingface import HuggingFaceOptions

_TOGETHER = 512
"""Texts that LlamaIndex hands over at once: enough for batches of about equal length to be made of them."""
_CHARS_PER_TOKEN = 3
"""Fewer than most texts have, so that a batch is rather too small than too large. To count would be to tokenize twice."""
_UNLIMITED = 1_000_000


class LocalEmbedding(HuggingFaceEmbedding):
    """Embeds in batches of texts of like length, and does not try again what fails: a model on this machine fails for good."""

    _together: int = PrivateAttr()
    _tokens: int = PrivateAttr()

    def _embed(self, inputs: Sequence[Any], prompt_name: str | None = None) -> list[list[float]]:
        if self._model.truncate_dim is not None:
            return self._encoded(inputs, prompt_name)
        limit = self._model.max_seq_length or _UNLIMITED
        lengths = [min(limit, len(text) // _CHARS_PER_TOKEN + 2) for text in inputs]
        vectors: list[list[float]] = [[]] * len(inputs)
        for batch in batches(lengths, self._together, self._tokens):
            found = self._forward([inputs[position] for position in batch], prompt_name)
            for position, vector in zip(batch, found, strict=True):
                vectors[position] = vector
        return vectors

    def _forward(self, texts: list[Any], prompt_name: str | None) -> list[list[float]]:
        """What `encode` does for a batch, without what it does around it: for a question, that is a tenth of the time."""
        model = self._model
        with torch.inference_mode():
            features = model.preprocess(texts, prompt=model.prompts.get(prompt_name or "") or None)
            mask = features.get("attention_mask")
            if mask is not None and bool(mask.all()):  # texts of one length have no padding to hide
                del features["attention_mask"]
            vectors = model(batch_to_device(features, model.device))["sentence_embedding"].float()
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
    embedding._together, embedding._tokens = options.batch_size, options.batch_tokens
    embedding.model_name = options.model
    return embedding
