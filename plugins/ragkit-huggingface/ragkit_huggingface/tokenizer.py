"""Counting tokens as the model does, from `tokenizer.json` alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from ragkit_huggingface.model import Model


@dataclass(frozen=True)
class ModelTokenizer:
    """ragkit's `Tokenizer` over the library `tokenizers`, which neither cuts nor pads here."""

    backend: Any
    max_tokens: int | None
    special_tokens: int
    fingerprint: str

    @classmethod
    def of(cls, model: Model) -> ModelTokenizer:
        """Read the model's tokenizer. Its prompt for texts counts among the special tokens."""
        backend = _backend(model)
        backend.no_truncation()
        backend.no_padding()
        prompt = len(backend.encode(model.prompts[1], add_special_tokens=False).ids) if model.prompts[1] else 0
        limit = model.max_length
        seal = hashlib.sha256(f"{backend.to_str()}\n{limit}\n{prompt}".encode()).hexdigest()
        return cls(backend, limit, backend.num_special_tokens_to_add(False) + prompt, seal)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """The character span of each token, special tokens left out."""
        spans: Sequence[tuple[int, int]] = self.backend.encode(text, add_special_tokens=False).offsets
        return spans

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, special tokens left out."""
        return [len(encoding.ids) for encoding in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def _backend(model: Model) -> Any:
    path = model.folder / "tokenizer.json"
    if path.is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(path))
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model.folder), local_files_only=True)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ComponentError(
            f"the tokenizer in {model.folder} cannot tell where its tokens stand in the text",
            component="huggingface",
            cure="choose a model that brings a tokenizer.json",
        )
    return backend
