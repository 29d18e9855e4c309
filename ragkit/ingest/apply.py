"""Bring a view up to date: batch after batch, made durable before its number moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ragkit.errors import ComponentError, StateError
from ragkit.ingest.report import Progress
from ragkit.state.boundaries import boundary
from ragkit.state.filesystem import is_full
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
    view.join()
    with ledger.ask() as connection:
        total = count_pending(connection, view.record.chunking, generations.applied(view.record))
    if not total:
        return 0  # nor is the store locked, which a reader of another process may have open
    done = 0
    turn = view.turn()
    with view.writing() as store:
        stepwise = bool(store.capabilities.get("incremental", True))
        while True:
            with turn.hold(timeout_s=_TURN_S):
                applied = reached = generations.applied(view.record)
                with _storing(ledger, store):
                    view.own(applied)
                while changes := _next(ledger, view, reached, batch):
                    nodes = _nodes(view.record.kind, changes, embedding)
                    with _storing(ledger, store):
                        _write(store, changes, nodes)
                    reached = changes[-1].seq
                    done += len(changes)
                    progress(view.record.kind, done, max(total, done), view.record.component)
                    if stepwise:
                        break
                if reached == applied:
                    return done
                with _storing(ledger, store):
                    boundary("store.flush")
                    store.flush()
                    boundary("store.flush.done")
                    view.mark(reached)
                turn.confirm()
                generations.set_applied(view.record, reached)


def _next(ledger: Ledger, view: View, applied: int, limit: int) -> list[PendingChunk]:
    with ledger.ask() as connection:
        return pending(connection, view.record.chunking, applied, limit)


def _nodes(kind: str, changes: Sequence[PendingChunk], embedding: BaseEmbedding | None) -> list[BaseNode]:
    """The chunks that live, as the store takes them."""
    alive = [change for change in changes if not change.deleted]
    nodes = [_node(change, kind) for change in alive]
    if embedding is not None and alive:
        vectors = embedding.get_text_embedding_batch([change.input for change in alive])
        for node, vector in zip(nodes, vectors, strict=True):
            node.embedding = vector
    return nodes


def _write(store: StoreAdapter, changes: Sequence[PendingChunk], nodes: Sequence[BaseNode]) -> None:
    boundary("store.delete")
    store.delete([change.id for change in changes if change.deleted])
    boundary("store.upsert")
    store.upsert(nodes)


@contextmanager
def _storing(ledger: Ledger, store: StoreAdapter) -> Iterator[None]:
    """Say what a store could not write and why; a full disk by its name, which a store's own error may hide."""
    try:
        yield
    except (OSError, ComponentError) as error:
        full = is_full(ledger.folder)
        if isinstance(error, ComponentError) and not full:
            raise
        raise StateError(
            f"the {store.name} store could not write: {f'the disk of {ledger.folder} is full' if full else error}",
            cure=f"{'free some disk space' if full else 'mend that'} and run `ragkit ingest` again; nothing is lost",
        ) from error


def _node(change: PendingChunk, kind: str) -> BaseNode:
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    return TextNode(
        id_=change.id,
        text=change.input if kind == "keyword" else "",
        metadata=dict(change.payload),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=change.document_id)},
    )
