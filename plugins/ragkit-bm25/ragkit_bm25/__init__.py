"""BM25: a keyword store on bm25s, and LlamaIndex's own `BM25Retriever`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime
from ragkit.analysis import Language
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from llama_index.core.retrievers import BaseRetriever

    from ragkit_bm25.store import BM25Store

Method = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]


class BM25Options(Options):
    """The YAML keys of `keyword_store: {use: bm25, …}`."""

    k1: float = identity(default=1.5, ge=0, le=10, description="How slowly repetitions of a term saturate.")
    b: float = identity(default=0.75, ge=0, le=1, description="How much a text's length counts: 0 not at all, 1 in full.")
    delta: float = identity(default=0.5, ge=0, le=10, description="The lower bound of a term's weight in `bm25l` and `bm25+`.")
    method: Method = identity(default="lucene", description="The variant of BM25, as bm25s names them.")
    language: Language = identity(default="en", description="The language of stemmer and stop words; `none` for neither.")


class LlamaIndexBM25Options(Options):
    """The YAML keys of `retriever: {use: llamaindex_bm25, …}`."""

    candidates: int = runtime(default=100, ge=1, le=10_000, description="How many hits to return at most.")
    language: Language = runtime(default="en", description="The language of stemmer and stop words; `none` for neither.")


def build_store(options: BM25Options, context: BuildContext) -> BM25Store:
    """Open the index in the component's folder; it is read when it is first asked."""
    from ragkit_bm25.store import BM25Store

    return BM25Store(context.folder, options)


def build_retriever(options: LlamaIndexBM25Options, context: BuildContext) -> BaseRetriever:
    """Index every live chunk in memory, once; chunks that come later are not seen until it is built again."""
    from ragkit_bm25.retriever import PositiveBM25Retriever

    return PositiveBM25Retriever.over(list(context.nodes()), options)


@hookimpl
def ragkit_keyword_stores() -> list[Component]:
    """Offer `bm25`."""
    return [
        Component(
            "bm25",
            BM25Options,
            build_store,
            summary="BM25 on bm25s: on disk, scores given chunks, replaced atomically",
            capabilities={
                "processes": "many_readers",
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "incremental": False,
                "score_by_id": True,
                "k1_b": True,
                "stores_text": False,
                "async": False,
            },
        )
    ]


@hookimpl
def ragkit_retrievers() -> list[Component]:
    """Offer `llamaindex_bm25`."""
    return [
        Component(
            "llamaindex_bm25",
            LlamaIndexBM25Options,
            build_retriever,
            summary="LlamaIndex's BM25Retriever over all chunks, in memory",
            capabilities={"filters": [], "score_by_id": False, "k1_b": False},
        )
    ]
