"""Hugging Face models as embeddings; the default one is bundled and works without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from ragkit import BuildContext, Component, ConfigPath, Options, hookimpl, identity, runtime
from ragkit.components import Tokenizer

if TYPE_CHECKING:
    from ragkit_huggingface.embedding import LocalEmbedding

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def _place(value: Any, info: ValidationInfo) -> Any:
    """A folder becomes an absolute path, from the folder of the YAML file that it stands in; a name on the Hub stays."""
    if not isinstance(value, str):
        return value
    base = getattr(value, "folder", None) or (info.context or {}).get("folder") or "."
    folder = Path(base) / Path(value).expanduser()
    return str(folder.absolute()) if folder.is_dir() or value.startswith((".", "/", "~")) else str(value)


class HuggingFaceOptions(Options):
    """The YAML keys of `embedding: {use: huggingface, …}`.

    `model` and `revision` are no identity: the hash of the weights is (`Component.identity`).
    """

    model: Annotated[str, BeforeValidator(_place)] = runtime(
        default=DEFAULT_MODEL, min_length=1, description="A name on the Hugging Face Hub, or a folder."
    )
    revision: str | None = runtime(default=None, description="A branch, tag or commit on the Hub.")
    query_prompt: str | None = identity(default=None, description="Put before every question; by default the model's own prompt.")
    text_prompt: str | None = identity(default=None, description="Put before every text; by default the model's own prompt.")
    max_length: int | None = identity(default=None, ge=8, description="Tokens read of a text, special ones included.")
    normalize: bool = identity(default=True, description="Give vectors of length 1.")
    device: str | None = runtime(default=None, description="`cpu`, `cuda`, `cuda:1`, `mps`; by default the best there is.")
    batch_size: int = runtime(default=32, ge=1, le=2048, description="Texts that go through the model at once.")
    cache_folder: ConfigPath | None = runtime(default=None, description="Where downloaded models lie.")


def build(options: HuggingFaceOptions, context: BuildContext) -> LocalEmbedding:
    """Load the model; nothing is contacted unless it has to be downloaded."""
    from ragkit_huggingface.embedding import load

    return load(options, context.folder)


def model_identity(options: HuggingFaceOptions, context: BuildContext) -> str:
    """The hash of weights, tokenizer, pooling, prompts and maximum length; reads files, loads no model."""
    from ragkit_huggingface.model import Model

    return Model.find(options, context.folder).identity()


def model_tokenizer(options: HuggingFaceOptions, context: BuildContext) -> Tokenizer:
    """The model's tokenizer, read from `tokenizer.json`."""
    from ragkit_huggingface.model import Model
    from ragkit_huggingface.tokenizer import ModelTokenizer

    return ModelTokenizer.of(Model.find(options, context.folder))


@hookimpl
def ragkit_embeddings() -> list[Component]:
    """Offer `huggingface`."""
    return [
        Component(
            "huggingface",
            HuggingFaceOptions,
            build,
            summary="Hugging Face models on this machine; all-MiniLM-L6-v2 is bundled",
            capabilities={"offline": True, "async": True},
            identity=model_identity,
            tokenizer=model_tokenizer,
        )
    ]
