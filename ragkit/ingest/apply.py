"""Bring a view up to date: batch after batch, made durable before its number moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.errors import RagkitError
from ragkit.ingest.report import Progress
from ragkit.state.boundaries import boundary
from ragkit.state.generations import Generations
from ragkit.state.ledger import Ledger
from ragkit.state.pending import PendingChunk, count_pending, pending
from ragkit.state.stores import StoreAdapter
from ragkit.state.views import View

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.schema import BaseNode

BATCH = 256
_TURN_S = 600.0


def apply(
    ledger: Ledger, generations: Generations, view: View, embedding: BaseEmbedding | None, progress: Progress, batch: int = BATCH
) -> int:
    """Apply what the view lacks; returns how many changes it applied. `embedding` is None for a keyword view.

    Writers take turns: another process may apply a batch of its own in between, so every turn starts from the
    number that the ledger has then. A store that is rebuilt as a whole keeps its turn to the end.
    """
    with ledger.read() as connection:
        total = count_pending(connection, view.record.chunking, generations.view(view.record.id).applied)
    if not total:
        return 0  # nor is the store locked, which a reader of another process may have open
    done = 0
    turn = ledger.lock("writer", "the writer's turn of this state")
    with view.writing() as store:
        stepwise = bool(store.capabilities.get("incremental", True))
        while True:
            with turn.hold(timeout_s=_TURN_S):
                applied = reached = generations.view(view.record.id).applied
                view.own(applied)
                while changes := _next(ledger, view, reached, batch):
                    _write(store, view.record.kind, changes, embedding)
                    reached = changes[-1].seq
                    done += len(changes)
                    progress(view.record.kind, done, max(total, done), view.record.component)
                    if stepwise:
                        break
                if reached == applied:
                    return done
                boundary("store.flush")
                store.flush()
                boundary("store.flush.done")
                view.mark(reached)
                generations.set_applied(view.record, reached)


def _next(ledger: Ledger, view: View, applied: int, limit: int) -> list[PendingChunk]:
    with ledger.read() as connection:
        return pending(connection, view.record.chunking, applied, limit)


def _write(store: StoreAdapter, kind: str, changes: Sequence[PendingChunk], embedding: BaseEmbedding | None) -> None:
    alive = [change for change in changes if not change.deleted]
    nodes = [_node(change, kind) for change in alive]
    if embedding is not None and alive:
        vectors = embedding.get_text_embedding_batch([change.input for change in alive])
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector
    try:
        boundary("store.delete")
        store.delete([change.id for change in changes if change.deleted])
        boundary("store.upsert")
        store.upsert(nodes)
    except RagkitError:
        raise
    except OSError as error:
        raise RagkitError(
            f"the store {store.name!r} could not write: {error}", cure="mend that and run `ragkit ingest` again; nothing is lost"
        ) from error


def _node(change: PendingChunk, kind: str) -> BaseNode:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    return TextNode(
        id_=change.id,
        text=change.input if kind == "keyword" else "",
        metadata=dict(change.payload),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=change.document_id)},
    )
