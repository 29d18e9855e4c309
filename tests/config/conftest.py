"""A host with small components, and a way to load a YAML text through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, SecretStr, field_validator, model_validator

from ragkit import Component, ConfigPath, Options, hookimpl, identity, runtime
from ragkit.components import RetrieverSpec
from ragkit.config import Config, load
from ragkit.errors import ConfigError
from ragkit.host import Host


class FilesOptions(Options):
    path: ConfigPath
    include: list[str] | str = "**/*"


class WebOptions(Options):
    url: str
    token: SecretStr | None = None


class SentenceOptions(Options):
    size: int | None = identity(None, ge=16)
    overlap: int = identity(32, ge=0)
    lead: Literal["none", "title", "headings"] = identity("none")


class Index(BaseModel, extra="forbid"):
    m: int = 16
    kind: Literal["hnsw", "flat"] = "hnsw"


class StoreOptions(Options):
    url: str | None = None
    api_key: SecretStr | None = None
    store_text: bool = False
    index: Index = Index()
    labels: dict[str, Any] = runtime(default_factory=dict)

    @field_validator("api_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value and len(value.get_secret_value()) < 8:
            raise ValueError(f"the key {value.get_secret_value()!r} is too short")
        return value


class HybridOptions(Options):
    alpha: float = runtime(0.6, ge=0, le=1)
    legs: tuple[RetrieverSpec, ...] = runtime(("dense", "keyword"), min_length=2)

    @model_validator(mode="after")
    def _distinct(self) -> HybridOptions:
        if len({leg.name for leg in self.legs}) < len(self.legs):
            raise ValueError("two legs have the same name")
        return self


def component(name: str, options: type[Options] = Options, **capabilities: Any) -> Component:
    return Component(name, options, lambda options, context: None, f"What {name} is for.", capabilities)


def offer(**components: Sequence[Component]) -> SimpleNamespace:
    """A plugin with these components: `offer(sources=[…])`."""

    def hook(found: Sequence[Component]) -> Callable[[], Sequence[Component]]:
        def implementation() -> Sequence[Component]:
            return found

        return hookimpl(implementation)

    return SimpleNamespace(**{f"ragkit_{kind}": hook(found) for kind, found in components.items()})


@pytest.fixture(scope="session")
def host() -> Host:
    plugin = offer(
        sources=[component("files", FilesOptions), component("web", WebOptions)],
        cleaners=[component("whitespace"), component("unicode")],
        chunkers=[component("sentence", SentenceOptions), component("token", SentenceOptions)],
        embeddings=[component("huggingface"), component("fake")],
        vector_stores=[component("faiss", StoreOptions), component("memory")],
        keyword_stores=[component("bm25")],
        retrievers=[
            component("dense"),
            component("keyword"),
            component("hybrid", HybridOptions),
            component("deaf", filters=[]),
            component("hard_of_hearing", filters=["==", ">="]),
        ],
        rerankers=[component("shuffle")],
        answerers=[component("extractive"), component("llm", needs=["llm"])],
        llms=[component("echo")],
    )
    return Host(plugins=[plugin], entry_points=False, builtins=False)


Load = Callable[..., Config]


@pytest.fixture
def read(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads YAML texts as files of a folder of their own; `ragkit.yaml` is the first."""

    def loaded(text: str, *overrides: str, environ: Mapping[str, str] | None = None, **others: str) -> Config:
        folder = tmp_path / "handbook"
        folder.mkdir(exist_ok=True)
        for name, content in {"ragkit": text, **others}.items():
            (folder / f"{name}.yaml").write_text(content, encoding="utf-8")
        monkeypatch.chdir(folder)
        return load(Path("ragkit.yaml"), host, overrides=overrides, environ=environ or {})

    return loaded


@pytest.fixture
def problems(read: Load) -> Callable[..., list[str]]:
    """What loading a YAML text complains about, one string a problem."""

    def found(text: str, *overrides: str, environ: Mapping[str, str] | None = None, **others: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, *overrides, environ=environ, **others)
        return [str(problem) for problem in caught.value.problems]

    return found
