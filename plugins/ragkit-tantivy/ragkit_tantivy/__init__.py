"""tantivy: a keyword store on disk that takes in changes one by one, for any number of readers beside one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime
from ragkit.analysis import Language
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_tantivy.store import TantivyStore


class TantivyOptions(Options):
    """The YAML keys of `keyword_store: {use: tantivy, …}`. tantivy's k1 is 1.2 and its b 0.75; neither can be set."""

    language: Language = identity(default="en", description="The language of stemmer and stop words; `none` for neither.")
    merge_deleted: float = runtime(
        default=0.2,
        gt=0,
        le=1,
        description="The share of deleted texts from which the index is written anew; until then they weigh on the scores.",
    )
    memory_mb: int = runtime(
        default=64, ge=16, le=4096, description="What a write may hold in memory, in MB, before it goes on to disk."
    )
    timeout: float = runtime(
        default=10.0, ge=0, le=3600, description="Seconds to wait for another process that is writing to the index."
    )


def build(options: TantivyOptions, context: BuildContext) -> TantivyStore:
    """Open the index in the component's folder; it is read when it is first asked and made when it is first written."""
    from ragkit_tantivy.store import TantivyStore

    return TantivyStore(context.folder, options)


@hookimpl
def ragkit_keyword_stores() -> list[Component]:
    """Offer `tantivy`."""
    return [
        Component(
            "tantivy",
            TantivyOptions,
            build,
            summary="BM25 on tantivy: on disk, incremental, scores given chunks; k1 and b are fixed",
            capabilities={
                "processes": "many_readers",
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "incremental": True,
                "score_by_id": True,
                "k1_b": False,
                "stores_text": False,
                "async": False,
            },
        )
    ]
