"""Old generations go when nobody leases them."""

from __future__ import annotations

import shutil

from ragkit.errors import RagkitError
from ragkit.state import documents as table
from ragkit.state.copies import Copies
from ragkit.state.generations import Generations
from ragkit.state.ledger import Ledger
from ragkit.state.views import OpenStore, View


def retire(ledger: Ledger, generations: Generations, open_store: OpenStore) -> list[str]:
    """Remove the generations that do not answer and that nobody reads; returns a sentence for each that has to stay.

    Collections go first and the ledger's rows after them, so that an interruption leaves rows to find them by.
    """
    stayed: list[str] = []
    for generation in generations.all():
        if generation.live:
            continue
        lease = generations.lease(generation)
        try:
            lease.acquire()
            for record in generations.unused_views(generation):
                View(ledger, record, open_store).destroy()
            generations.forget(generation)
        except RagkitError as error:
            stayed.append(f"generation {generation.id} stays for now: {error.message}")
        finally:
            lease.release()
    if ledger.place:
        _sweep(ledger, generations)
    live = generations.live()
    if live is not None:
        with ledger.write("ledger.purge") as connection:
            table.purge(connection, live.chunking, Copies(ledger).passed(connection, live.chunking))
    return stayed


def _sweep(ledger: Ledger, generations: Generations) -> None:
    """Remove this machine's copies of views that another machine has retired."""
    found = list((ledger.folder / "views").glob(f"*-{ledger.state_uuid[:8]}"))
    known = generations.collections()  # asked for afterwards, since a view is recorded before its folder is made
    for folder in found:
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
