"""The keys of a configuration, their defaults, and what each means."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)

from ragkit import components
from ragkit.components import Kind
from ragkit.config.serving import ChatSettings, ServeSettings
from ragkit.errors import FilterError
from ragkit.filters import Filter, parse
from ragkit.host import Host

_DATABASE = re.compile(r"postgres(ql)?(\+psycopg)?://")


def _state(value: Any, info: ValidationInfo) -> Any:
    """A folder becomes absolute; an address stays as it is."""
    if not isinstance(value, str) or _DATABASE.match(value):
        return value
    if "://" in value:
        raise ValueError("must be a folder, or postgresql://user@host/database")
    return _folder(value, info)


def _local(value: Any, info: ValidationInfo) -> Any:
    """Where the state is a database, the folder for what stays here; else the state has it all."""
    if not _DATABASE.match(str(info.data.get("state", "://"))):
        if value is not None and "state" in info.data:
            raise ValueError("is for a state in postgresql://…; a folder as `state` has everything in it")
        return value
    return _folder(".ragkit" if value is None else value, info)


def _folder(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("must name a folder")
    folder = getattr(value, "folder", None) or (info.context or {}).get("folder") or Path()
    return os.path.realpath(Path(folder, os.path.expanduser(value)))  # noqa: PTH111 - pathlib's raises for an unknown user


def _filter(value: Any) -> Filter | None:
    """A filter in ragkit's language, read."""
    if value is None or isinstance(value, Filter):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text such as 'year >= 2020 and category in [article, post]'")  # noqa: TRY004 - pydantic reports these alone
    try:
        return parse(value)
    except FilterError as error:
        hidden = getattr(value, "variables", ())
        told = f"the value of {' and '.join(f'${{{name}}}' for name in hidden)} cannot be read" if hidden else error.problem
        raise ValueError(f"character {error.position}: {told}") from None


def _key(default: Any, description: str, **constraints: Any) -> Any:
    return Field(default, description=description, **constraints)


class RedisSettings(BaseModel):
    """A Redis that several machines share."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    url: SecretStr = _key(..., "Its address, with its password: redis://user:password@host:port/0, rediss:// or unix://.")
    ttl_days: float = _key(30.0, "How long a vector stays there.", gt=0, le=3650)
    timeout: float = _key(0.5, "Seconds to wait for an answer; a Redis that gives none is left alone for a while.", gt=0, le=60)


def _redis(value: Any) -> Any:
    """A bare address stands for `{url: …}`."""
    return {"url": value} if isinstance(value, str) else value


class CacheSettings(BaseModel):
    """How much is kept of what can be computed again."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    memory_mb: float = _key(64.0, "How many megabytes of vectors are kept in memory; 0 keeps none.", ge=0, le=1_000_000)
    redis: Annotated[RedisSettings | None, BeforeValidator(_redis)] = _key(
        None, "A Redis with the vectors that other machines have computed: its address, or `url` with options."
    )
    queries: bool = _key(True, "Whether the vectors of questions are kept.")
    vectors: int = _key(
        1_000_000, "How many vectors are kept that no chunk needs: of questions, and of chunks that are gone.", ge=0
    )
    scores: int = _key(1_000_000, "How many scores of rerankers are kept, about 60 bytes each; 0 keeps none.", ge=0)


class Settings(BaseModel):
    """What a YAML file may say; field names are its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    name: str = _key("", "What this index is called; the folder's name where it is left out.", min_length=1, max_length=200)
    state: Annotated[str, BeforeValidator(_state)] = _key(
        ".ragkit",
        "Where the ledger and the indexes are kept: a folder on a local disk, or postgresql://user@host/database for several "
        "machines.",
        repr=False,
    )
    local: Annotated[str | None, BeforeValidator(_local)] = _key(
        None,
        "Where `state` is a database: the folder for what stays on this machine, such as embedded stores (default: .ragkit).",
    )
    sources: tuple[components.SourceSpec, ...] = _key(..., "Where the documents come from.", min_length=1)
    clean: tuple[components.CleanerSpec, ...] = _key(("whitespace",), "What is done to each document's text, in order.")
    chunker: components.ChunkerSpec = _key("sentence", "How documents are cut into chunks.")
    embedding: components.EmbeddingSpec = _key("huggingface", "The model that turns texts into vectors.")
    vector_store: components.VectorStoreSpec = _key("faiss", "The store of the vectors.")
    keyword_store: components.KeywordStoreSpec = _key("bm25", "The store that answers by words.")
    retriever: components.RetrieverSpec = _key("hybrid", "How chunks are found for a question.")
    rerankers: tuple[components.RerankerSpec, ...] = _key((), "What puts the found chunks in a better order, one after another.")
    top_k: int = _key(5, "How many hits a question gets.", ge=1, le=1000)
    filter: Annotated[Filter | None, PlainValidator(_filter), WithJsonSchema({"type": ["string", "null"], "minLength": 1})] = (
        _key(
            None, "What every hit satisfies, such as `year >= 2020 and category in [article, post]`, beside a query's own filter."
        )
    )
    answer: components.AnswererSpec = _key("extractive", "How the answer is made; llm needs an `llm`.")
    llm: components.LLMSpec | None = _key(None, "The language model, for components that need one.")
    cache: CacheSettings = _key(CacheSettings(), "How much is kept of what can be computed again.")
    chat: ChatSettings = _key(ChatSettings(), "The chat page.")
    serve: ServeSettings = _key(ServeSettings(), "The HTTP API, and the server of the chat page.")


class Config(Settings):
    """A validated configuration. `state` is an absolute folder or postgresql://…; `file` is where it was read from.

    `local` is absolute where the state is a database, else None. `host` knows the components that it was validated against.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True)

    file: Path | None = None
    host: Host | None = None


DEFAULTS: dict[str, str | None] = {
    kind.yaml_key: Settings.model_fields[kind.yaml_key].default
    for kind in Kind
    if kind not in (Kind.SOURCE, Kind.CLEANER, Kind.RERANKER)
}
"""The keys that hold one component, and which it is where the YAML names none."""


def opened(value: Any, default: str | None = None) -> Any:
    """A component's bare name as `{use: name}`; one without `use` is given the default."""
    if isinstance(value, str):
        return {"use": value}
    return {"use": default, **value} if default and isinstance(value, dict) else value
