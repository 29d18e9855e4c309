"""What to say when a component is not there: what was meant, what to install, or why its plugin failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ragkit.components import Component, Kind
from ragkit.errors import PluginError
from ragkit.host.discovery import PluginInfo
from ragkit.host.words import label, nearest

_FIRST_PARTY: Mapping[tuple[Kind, str], str] = {
    (Kind.SOURCE, "feed"): "ragkit-web",
    (Kind.SOURCE, "web"): "ragkit-web",
    (Kind.VECTOR_STORE, "chroma"): "ragkit-chroma",
    (Kind.VECTOR_STORE, "faiss"): "ragkit-faiss",
    (Kind.VECTOR_STORE, "pgvector"): "ragkit-pgvector",
    (Kind.VECTOR_STORE, "pinecone"): "ragkit-pinecone",
    (Kind.VECTOR_STORE, "qdrant"): "ragkit-qdrant",
    (Kind.VECTOR_STORE, "qdrant-edge"): "ragkit-qdrant[edge]",
    (Kind.KEYWORD_STORE, "bm25"): "ragkit-bm25",
    (Kind.KEYWORD_STORE, "tantivy"): "ragkit-tantivy",
    (Kind.RETRIEVER, "llamaindex_bm25"): "ragkit-bm25",
    (Kind.EMBEDDING, "huggingface"): "ragkit-huggingface",
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
    culprits = [plugin for plugin in unusable if plugin.name == name or plugin.distribution == home]
    if culprits:
        homes = [plugin.distribution for plugin in culprits]
        told = f"{what} is not available: {'; '.join(map(_fate, culprits))}"
        return PluginError(told, distributions=homes, cure=f"mend it: pip install --upgrade {homes[0]}")
    if home:
        return PluginError(f"{what} is not installed", distributions=[home], cure=f"pip install {home}")
    here = components[kind]
    choice = f"; there is: {', '.join(sorted(here))}" if here else f"; no {label(kind)} is installed"
    for other in Kind:
        if name in components[other] or (other, name) in _FIRST_PARTY:
            return PluginError(f"{name!r} is {_article(other)}, not {_article(kind)}{choice}")
    meant = nearest(name, [*here, *(known for of, known in _FIRST_PARTY if of is kind)])
    if meant:
        cure = "" if meant in here else f"pip install {_FIRST_PARTY[kind, meant]}"
        return PluginError(f"unknown {label(kind)} {name!r}; did you mean {meant!r}?", cure=cure)
    return PluginError("; ".join([f"unknown {label(kind)} {name!r}{choice}", *map(_fate, unusable)]))


def _article(kind: Kind) -> str:
    return f"{'an' if label(kind)[0] in 'aeiouL' else 'a'} {label(kind)}"


def _fate(plugin: PluginInfo) -> str:
    fate = "was refused" if plugin.state == "refused" else "failed to load"
    return f"the plugin {plugin.name} of {plugin} {fate}: {plugin.error}"
