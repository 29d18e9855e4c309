"""Chroma, embedded: a vector store in a folder under ragkit's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_chroma.store import ChromaStore


class ChromaOptions(Options):
    """The YAML keys of `vector_store: {use: chroma, …}`."""

    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    m: int = identity(default=16, ge=2, le=512, description="HNSW: how many neighbours each vector keeps.")
    ef_construction: int = identity(default=100, ge=4, le=10_000, description="HNSW: how broadly to search while building.")
    ef_search: int = runtime(
        default=400,
        ge=1,
        le=10_000,
        description="HNSW: how broadly to search a query; one that asks for more hits searches as broadly as it asks.",
    )
    store_text: bool = identity(default=False, description="Keep the chunks' text in Chroma too.")


def build(options: ChromaOptions, context: BuildContext) -> ChromaStore:
    """Open the collection in the component's folder, or create it."""
    from ragkit_chroma.store import ChromaStore

    return ChromaStore.open(context.folder, context.collection, options)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `chroma`."""
    return [
        Component(
            "chroma",
            ChromaOptions,
            build,
            summary="Chroma, embedded: HNSW in a folder, one process at a time",
            capabilities={
                "processes": "one",
                "metrics": ["cosine", "dot", "l2"],
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "vectors": True,
                "incremental": True,
                "stores_text": True,
                "async": False,
            },
        )
    ]
