"""Hugging Face models as embeddings, of which the default one is bundled and works without a network, and as rerankers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ValidationInfo

from ragkit import BuildContext, Component, ConfigPath, Options, RerankerOptions, hookimpl, identity, runtime
from ragkit.components import Tokenizer

if TYPE_CHECKING:
    from ragkit_huggingface.cross_encoder import CrossEncoderReranker
    from ragkit_huggingface.embedding import LocalEmbedding

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


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
    dtype: Literal["auto", "float32"] = runtime(
        default="auto", description="`auto` computes in bfloat16 where the processor has it and the vectors stay the same."
    )
    device: str | None = runtime(default=None, description="`cpu`, `cuda`, `cuda:1`, `mps`; by default the best there is.")
    batch_size: int = runtime(default=128, ge=1, le=2048, description="Texts that go through the model at once, at most.")
    batch_tokens: int | None = runtime(
        default=None,
        ge=1,
        le=10_000_000,
        description="Tokens that go through it at once, with padding; a longer text goes alone. "
        "By default 2,048 on a processor, 65,536 elsewhere.",
    )
    cache_folder: ConfigPath | None = runtime(default=None, description="Where downloaded models lie.")


class CrossEncoderOptions(RerankerOptions):
    """The YAML keys of `rerankers: [{use: cross_encoder, …}]`."""

    model: Annotated[str, BeforeValidator(_place)] = runtime(
        default=DEFAULT_CROSS_ENCODER,
        min_length=1,
        description="A cross encoder with one score per pair: a name on the Hugging Face Hub, or a folder.",
    )
    revision: str | None = runtime(default=None, description="A branch, tag or commit on the Hub.")
    candidates: int = runtime(default=50, ge=1, le=1000, description="How many of the best hits the model reads.")
    batch_size: int = runtime(default=32, ge=1, le=2048, description="Pairs that go through the model at once.")
    max_length: int | None = runtime(
        default=None, ge=8, description="Tokens read of question and text together; by default as many as the model can."
    )
    device: str | None = runtime(default=None, description="`cpu`, `cuda`, `cuda:1`, `mps`; by default the best there is.")
    cache: bool = runtime(default=True, description="Keep scores, so that the same question and text are read once.")
    cache_folder: ConfigPath | None = runtime(default=None, description="Where downloaded models lie.")


def spin_briefly() -> None:
    """Have torch's threads (GNU OpenMP) soon go to sleep when they wait for each other, unless the environment says how.

    They spin for a millisecond otherwise. Where another program keeps a core busy, they spin for one that is not running, and a
    question takes ten times as long. It has to be said before torch is loaded.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "3000"


def build(options: HuggingFaceOptions, context: BuildContext) -> LocalEmbedding:
    """Load the model; nothing is contacted unless it has to be downloaded."""
    spin_briefly()
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


def build_cross_encoder(options: CrossEncoderOptions, context: BuildContext) -> CrossEncoderReranker:
    """Look at the model's files if they are in a folder; the model is loaded with the first pair that has no score yet."""
    from ragkit_huggingface.cross_encoder import CrossEncoderReranker
    from ragkit_huggingface.judge import Judge

    spin_briefly()
    judge = Judge(options, context.folder)
    judge.check_folder()
    return CrossEncoderReranker(context, judge, cache=options.cache)


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


@hookimpl
def ragkit_rerankers() -> list[Component]:
    """Offer `cross_encoder`."""
    return [
        Component(
            "cross_encoder",
            CrossEncoderOptions,
            build_cross_encoder,
            summary="a model that reads question and text together, on this machine",
            capabilities={"score_cache": True},
        )
    ]
