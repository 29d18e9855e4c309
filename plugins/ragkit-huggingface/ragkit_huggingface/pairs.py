"""A cross encoder's files: whether they are one, what it reads, and the hash that identifies it. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import ComponentError
from ragkit_huggingface.files import Named, modules, read_json, weights
from ragkit_huggingface.hashes import file_hash

if TYPE_CHECKING:
    from ragkit_huggingface import CrossEncoderOptions

NAME = "cross_encoder"
CURE = f"point rerankers.{NAME}.model at a cross encoder with one score per pair: a folder, or a name on the Hugging Face Hub"

_SMALL_FILES = ("*.json", "*.txt", "*.model", "*/*.json")

_VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model", "*/tokenizer.json", "*/vocab.*", "*/*.model")

_OFFSET_POSITIONS = {"camembert", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}
"""Their positions start behind the padding token's number, so that they read fewer tokens than they have positions."""


@dataclass(frozen=True)
class PairModel:
    """A cross encoder's folder. `max_length` is how many tokens it reads of a pair, None for one without a limit."""

    folder: Path
    max_length: int | None
    scratch: Path

    @classmethod
    def find(cls, options: CrossEncoderOptions, scratch: Path) -> PairModel:
        """Find the files, or download them; `scratch` keeps hashes of large ones.

        Raises `ComponentError` where there are none, and where they are no cross encoder with one score per pair.
        """
        named = Named(options.model, options.revision, options.cache_folder, NAME, f"rerankers.{NAME}.model")
        folder = named.folder()
        try:
            _check(folder, options.model)
            return cls(folder, _max_length(folder, options), scratch)
        except (OSError, ValueError) as error:
            raise ComponentError(f"the model in {folder} cannot be read: {error}", component=NAME, cure=CURE) from error

    @property
    def pickled(self) -> bool:
        """Whether there are weights as pickles alone."""
        return not any(self.folder.glob("*.safetensors")) and not any(self.folder.glob("*/*.safetensors"))

    def identity(self) -> str:
        """SHA-256 over all that decides the scores: weights, tokenizer, settings (among them the activation), maximum length."""
        found = {path for pattern in _SMALL_FILES for path in self.folder.glob(pattern)}
        found |= {path for _, step in modules(self.folder) for path in weights(self.folder / step)}
        hashes = [[path.relative_to(self.folder).as_posix(), file_hash(path, self.scratch)] for path in sorted(found)]
        library = version("sentence-transformers").partition(".")[0]  # it has the default activation
        return hashlib.sha256(json.dumps([hashes, self.max_length, library]).encode()).hexdigest()


def _check(folder: Path, model: str) -> None:
    """Raise `ComponentError` unless the files are those of a model that gives a pair one score."""
    config = read_json(folder / "config.json")
    if not config:
        raise ComponentError(f"{folder} holds no model: there is no config.json", component=NAME, cure=CURE)
    if not any(weights(folder / step) for _, step in modules(folder)):
        raise ComponentError(f"{folder} holds no weights (model.safetensors)", component=NAME, cure=CURE)
    if not any(any(folder.glob(pattern)) for pattern in _VOCABULARIES):  # transformers would go on with an empty one
        raise ComponentError(f"{folder} holds no tokenizer (tokenizer.json)", component=NAME, cure=CURE)
    if read_json(folder / "config_sentence_transformers.json").get("model_type") == "CrossEncoder":
        return  # what its steps give is seen when it is loaded
    kind = str((config.get("architectures") or ["unknown"])[0])
    if kind.endswith("ForCausalLM"):  # asked for "yes" or "no", which gives one score
        return
    if not kind.endswith("ForSequenceClassification"):
        raise ComponentError(f"{model} is no cross encoder, but a model of the kind {kind}", component=NAME, cure=CURE)
    check_labels(len(config.get("id2label") or ()) or int(config.get("num_labels") or 2), model)  # 2 is transformers' default


def check_labels(labels: int, model: str) -> None:
    """Raise `ComponentError` for a classifier: which of its labels means relevance it does not say."""
    if labels != 1:
        raise ComponentError(f"{model} gives a pair {labels} scores, and a reranker needs one", component=NAME, cure=CURE)


def _max_length(folder: Path, options: CrossEncoderOptions) -> int | None:
    config = read_json(folder / "config.json")
    positions = _number(config.get("max_position_embeddings"))
    if positions is not None and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= int(config.get("pad_token_id") or 0) + 1
    wanted = options.max_length
    if wanted is None:
        stated = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        limits = (positions, _number(read_json(folder / "tokenizer_config.json").get("model_max_length")), _number(stated))
        return min((limit for limit in limits if limit is not None), default=None)
    if positions is not None and wanted > positions:
        raise ComponentError(
            f"max_length is {wanted}, but {options.model} reads at most {positions} tokens",
            component=NAME,
            cure=f"set rerankers.{NAME}.max_length to {positions} or less",
        )
    return wanted


def _number(value: object) -> int | None:
    """A limit; some tokenizers say 10^30 where they mean none."""
    return value if isinstance(value, int) and 0 < value < 10**9 else None
