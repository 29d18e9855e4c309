"""Public fakes: everything that a pipeline needs, deterministic, without a model, a server or a network.

    from ragkit.host import Host
    from ragkit.testing import plugin

    host = Host(plugins=[plugin], entry_points=False)      # `fake`, `memory`, `failing` and `repeat` beside the built-ins

What subclasses a LlamaIndex type is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ragkit.testing import plugin
from ragkit.words import PlainTerms, WordTokenizer

if TYPE_CHECKING:
    from ragkit.testing.context import FakeContext, FakeRun, FakeScores, FakeStage, build_context
    from ragkit.testing.legs import MemoryDenseLeg, MemoryKeywordLeg, memory_legs
    from ragkit.testing.models import FakeEmbedding, RepeatingLLM
    from ragkit.testing.sources import FailingSource, MemorySource
    from ragkit.testing.stores import MemoryKeywordStore, MemoryVectorStore

__all__ = [
    "FailingSource", "FakeContext", "FakeEmbedding", "FakeRun", "FakeScores", "FakeStage",
    "MemoryDenseLeg", "MemoryKeywordLeg", "MemoryKeywordStore", "MemorySource",
    "MemoryVectorStore", "PlainTerms", "RepeatingLLM", "WordTokenizer", "build_context", "memory_legs", "plugin",
]  # fmt: skip

_PLACES = {
    "FailingSource": "sources",
    "FakeContext": "context",
    "FakeEmbedding": "models",
    "FakeRun": "context",
    "FakeScores": "context",
    "FakeStage": "context",
    "MemoryDenseLeg": "legs",
    "MemoryKeywordLeg": "legs",
    "MemoryKeywordStore": "stores",
    "MemorySource": "sources",
    "MemoryVectorStore": "stores",
    "RepeatingLLM": "models",
    "build_context": "context",
    "memory_legs": "legs",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"ragkit.testing.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'ragkit.testing' has no attribute {name!r}")
