"""The plugin that the design shows is a plugin: it loads, its YAML is read, and only its options enter the fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragkit import Kind
from ragkit.config import parse
from ragkit.errors import ConfigError
from ragkit.hookspecs import hookimpl
from ragkit.host import Host

PLUGIN = """
from __future__ import annotations
from typing import TYPE_CHECKING
from pydantic import SecretStr
from ragkit import BuildContext, Component, Options, hookimpl, identity
if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

class QdrantOptions(Options):                       # frozen, unknown keys forbidden; the fields are the YAML keys
    url: str | None = None
    api_key: SecretStr | None = None
    hnsw_m: int = identity(default=16, ge=4)        # part of the fingerprint

def build(options: QdrantOptions, context: BuildContext) -> BasePydanticVectorStore:
    from llama_index.vector_stores.qdrant import QdrantVectorStore    # heavy imports live here
    ...

@hookimpl
def ragkit_vector_stores() -> list[Component]:
    return [Component("qdrant", QdrantOptions, build, summary="Qdrant: a server, or embedded")]
"""


class Rest:
    """What else a configuration needs."""

    @staticmethod
    def _parts(*names: str) -> list[object]:
        from ragkit import Component, Options

        return [Component(name, Options, lambda options, context: None) for name in names]

    @hookimpl
    def ragkit_sources(self) -> list[object]:
        return self._parts("files")

    @hookimpl
    def ragkit_cleaners(self) -> list[object]:
        return self._parts("whitespace")

    @hookimpl
    def ragkit_chunkers(self) -> list[object]:
        return self._parts("sentence")

    @hookimpl
    def ragkit_embeddings(self) -> list[object]:
        return self._parts("fake")

    @hookimpl
    def ragkit_keyword_stores(self) -> list[object]:
        return self._parts("words")

    @hookimpl
    def ragkit_retrievers(self) -> list[object]:
        return self._parts("hybrid")

    @hookimpl
    def ragkit_answerers(self) -> list[object]:
        return self._parts("extractive")


def test_it_runs(install: Callable[..., None], tmp_path: Path) -> None:
    install("ragkit-qdrant", "0.1", qdrant=PLUGIN)
    host = Host([Rest], builtins=False)
    assert host.component(Kind.VECTOR_STORE, "qdrant").summary == "Qdrant: a server, or embedded"
    data = {"sources": ["files"], "embedding": "fake", "keyword_store": "words"}
    store = {"use": "qdrant", "url": "http://localhost:6333", "api_key": "secret", "hnsw_m": 32}
    config = parse({**data, "vector_store": store}, host, folder=tmp_path)
    assert config.vector_store.identity() == {"use": "qdrant", "version": 1, "options": {"hnsw_m": 32}}
    assert "secret" not in repr(config.vector_store.options)
    with pytest.raises(ConfigError) as caught:
        parse({**data, "vector_store": {"use": "qdrant", "hnsw_m": 3, "ur": "x"}}, host, folder=tmp_path)
    assert [str(problem) for problem in caught.value.problems] == [
        "vector_store.hnsw_m: must be at least 4, not 3",
        "vector_store.ur: unknown option 'ur' of qdrant; did you mean 'url'?",
    ]
