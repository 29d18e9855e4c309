"""Verify a view against the ledger, id by id and both ways, and make it right again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.ingest.apply import apply
from ragkit.ingest.report import Progress
from ragkit.state.generations import Generations
from ragkit.state.ledger import Ledger
from ragkit.state.reader import Reader
from ragkit.state.records import GenerationRecord
from ragkit.state.views import View

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding


@dataclass(frozen=True)
class Verification:
    """What `views verify` found: ids that the store lacks, and ids that it should not have. None: it cannot list them."""

    name: str
    kind: str
    state: str
    detail: str
    missing: int | None
    extra: int | None

    @property
    def sound(self) -> bool:
        """Whether the view holds exactly what the ledger says."""
        return self.state == "complete" and not self.missing and not self.extra


def verify(ledger: Ledger, generation: GenerationRecord, view: View) -> Verification:
    """Compare ids in the ledger with ids in the store, both ways."""
    health = view.health()
    listing = view.store.ids()
    missing = extra = None
    if listing is not None:
        held = set(listing)
        wanted = {chunk.id for chunk in Reader(ledger, generation).all()}
        missing, extra = len(wanted - held), len(held - wanted)
    state, detail = health.state, health.detail
    if state == "complete" and (missing or extra):
        state, detail = "drifted", f"{missing} chunks are missing and {extra} are too many"
    return Verification(view.record.component, view.record.kind, state, detail, missing, extra)


def repair(
    ledger: Ledger,
    generations: Generations,
    generation: GenerationRecord,
    view: View,
    embedding: BaseEmbedding | None,
    progress: Progress,
) -> int:
    """Remove what the ledger does not have and write everything else again, from the embedding cache where it can.

    Returns how many chunks were written or removed. Raises `OwnershipError` for a collection that is not ours.
    """
    view.join()
    if view.marker() is not None or view.store.count():
        view.own(applied=1)
    generations.set_applied(view.record, 0)
    with view.writing() as store:
        view.mark(0)
        listing = store.ids()
        wanted = {chunk.id for chunk in Reader(ledger, generation).all()}
        extra = [item for item in listing if item not in wanted] if listing is not None else []
        if listing is None:
            store.store.clear()
        store.delete(extra)
        store.flush()
    return len(extra) + apply(ledger, generations, view, embedding, progress)
