"""The built-in vector store `memory`: exact, for small collections, with no dependency but NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit import BuildContext, Component, Options, hookimpl, identity
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit.builtin.memory.store import MemoryStore


class MemoryOptions(Options):
    """The YAML keys of `vector_store: {use: memory, …}`."""

    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="the similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)"
    )


def build_memory(options: MemoryOptions, context: BuildContext) -> MemoryStore:
    """The store over the file in the component's folder; it is read when it is first asked."""
    from ragkit.builtin.memory.store import MemoryStore

    return MemoryStore(context.folder, options.metric)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """`memory`."""
    return [
        Component(
            "memory",
            MemoryOptions,
            build_memory,
            summary="exact search in memory, kept in one file; for up to some 50,000 chunks",
            capabilities={
                "processes": "many_readers",
                "metrics": ["cosine", "dot", "l2"],
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "vectors": "memory",
                "incremental": True,
                "stores_text": False,
                "async": False,
            },
        )
    ]
