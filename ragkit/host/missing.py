"""What to say when a component is not there: what was meant, what to install, or why its plugin failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ragkit.components import Component, Kind
from ragkit.errors import PluginError
from ragkit.host.words import label, nearest

if TYPE_CHECKING:
    from ragkit.host.host import PluginInfo

_FIRST_PARTY: Mapping[tuple[Kind, str], str] = {
    (Kind.VECTOR_STORE, "chroma"): "ragkit-chroma",
    (Kind.VECTOR_STORE, "faiss"): "ragkit-faiss",
    (Kind.VECTOR_STORE, "pgvector"): "ragkit-pgvector",
    (Kind.VECTOR_STORE, "pinecone"): "ragkit-pinecone",
    (Kind.VECTOR_STORE, "qdrant"): "ragkit-qdrant",
    (Kind.KEYWORD_STORE, "bm25"): "ragkit-bm25",
    (Kind.KEYWORD_STORE, "tantivy"): "ragkit-tantivy",
    (Kind.RETRIEVER, "llamaindex_bm25"): "ragkit-bm25",
    (Kind.EMBEDDING, "huggingface"): "ragkit-huggingface",
    (Kind.EMBEDDING, "ollama"): "ragkit-ollama",
    (Kind.EMBEDDING, "openai"): "ragkit-openai",
    (Kind.LLM, "ollama"): "ragkit-ollama",
    (Kind.LLM, "openai"): "ragkit-openai",
}
"""The distribution of each component that the ragkit project keeps outside of ragkit itself."""


def missing_component(
    kind: Kind, name: str, components: Mapping[Kind, Mapping[str, Component]], plugins: Sequence[PluginInfo]
) -> PluginError:
    """The error for a component that no loaded plugin offers."""
    what = f"the {label(kind)} {name!r}"
    home = _FIRST_PARTY.get((kind, name))
    unusable = [plugin for plugin in plugins if plugin.state != "loaded"]
    culprits = [plugin for plugin in unusable if plugin.name == name or home == _normal(plugin.distribution)]
    if culprits:
        told = "; ".join(f"{_titled(plugin)} {_fate(plugin)}" for plugin in culprits)
        return PluginError(
            f"{what} is not available: {told}",
            distributions=[plugin.distribution for plugin in culprits],
            cure=f"mend it: pip install --upgrade {culprits[0].distribution}",
        )
    if home:
        return PluginError(f"{what} is not installed", distributions=[home], cure=f"pip install {home}")
    others = [other for other in Kind if name in components[other] or (other, name) in _FIRST_PARTY]
    if others:
        return PluginError(f"{name!r} is {_article(others[0])}, not {_article(kind)}{_choice(kind, components)}")
    meant = nearest(name, [*components[kind], *(known for of, known in _FIRST_PARTY if of is kind)])
    if meant in components[kind]:
        return PluginError(f"unknown {label(kind)} {name!r}; did you mean {meant!r}?")
    if meant:
        return PluginError(
            f"unknown {label(kind)} {name!r}; did you mean {meant!r}?", cure=f"pip install {_FIRST_PARTY[kind, meant]}"
        )
    failed = "".join(f"; {_titled(plugin)} {_fate(plugin)}" for plugin in unusable)
    return PluginError(f"unknown {label(kind)} {name!r}{_choice(kind, components)}{failed}")


def _choice(kind: Kind, components: Mapping[Kind, Mapping[str, Component]]) -> str:
    return f"; there is: {', '.join(sorted(components[kind]))}" if components[kind] else f"; no {label(kind)} is installed"


def _article(kind: Kind) -> str:
    return f"{'an' if label(kind)[0] in 'aeiouL' else 'a'} {label(kind)}"


def _titled(plugin: PluginInfo) -> str:
    return f"the plugin {plugin.name} of {plugin.distribution} {plugin.version}"


def _fate(plugin: PluginInfo) -> str:
    return f"{'was refused' if plugin.state == 'refused' else 'failed to load'}: {plugin.error}"


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
