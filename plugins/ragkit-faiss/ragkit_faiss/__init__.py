"""FAISS, embedded: a vector store in a folder under ragkit's state, with readers beside a writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_faiss.store import FaissStore


class FaissOptions(Options):
    """The YAML keys of `vector_store: {use: faiss, …}`."""

    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    index: Literal["auto", "flat", "hnsw"] = identity(
        default="auto", description="`flat` compares with every vector, `hnsw` by a graph; `auto`: a graph from 20,000 chunks on."
    )
    m: int = identity(default=16, ge=2, le=512, description="HNSW: how many neighbours each vector keeps.")
    ef_construction: int = identity(default=100, ge=4, le=10_000, description="HNSW: how broadly to search while building.")
    ef_search: int = runtime(
        default=200,
        ge=1,
        le=10_000,
        description="HNSW: how broadly to search a query; one that asks for more hits searches as broadly as it asks.",
    )
    timeout: float = runtime(default=60.0, gt=0, description="Seconds to wait for another writer of the same folder.")


def build(options: FaissOptions, context: BuildContext) -> FaissStore:
    """Open the collection in the component's folder; it is read when it is first asked."""
    from ragkit_faiss.store import FaissStore

    return FaissStore(context.folder, options)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `faiss`."""
    return [
        Component(
            "faiss",
            FaissOptions,
            build,
            summary="FAISS, embedded: exact or HNSW, on disk, any number of readers beside a writer",
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
