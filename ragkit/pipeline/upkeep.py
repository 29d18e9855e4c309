"""Looking after an index: how it stands, and that its stores hold what the ledger says."""

from __future__ import annotations

from contextlib import ExitStack

from ragkit.config import shown_state
from ragkit.ingest.repair import Verification, repair, verify
from ragkit.ingest.report import Progress
from ragkit.ingest.retire import retire
from ragkit.pipeline.index import Index
from ragkit.pipeline.status import Status, ViewStatus, view_status
from ragkit.state.copies import Copies


def status(index: Index) -> Status:
    """How the index stands, without changing anything."""
    live, wanted = index.generations.live(), index.wiring.wanted()
    differs = index.generations.matches(wanted, live) if live else []
    detail = f"the configuration differs in {', '.join(differs)}; run `ragkit ingest`" if differs else ""
    runs = index.ledger.runs(limit=1)
    return Status(
        name=index.config.name, state=shown_state(index.config), generation=live.id if live else 0,
        matches=bool(live) and not differs,
        detail=detail if live else "nothing has been ingested yet; run `ragkit ingest`",
        **index.ledger.counts(live.chunking if live else 0), views=tuple(_views(index)),
        cache={**index.cache.statistics(), "scores": index.scores.statistics()}, last_run=runs[0] if runs else None,
    )  # fmt: skip


def _views(index: Index) -> list[ViewStatus]:
    """Every view once, though several generations may share it."""
    seen: dict[int, ViewStatus] = {}
    for generation in index.generations.all():
        for record in (generation.vector, generation.keyword):
            if record.id not in seen:
                with index.pool.using(record) as (view,):
                    applied = index.generations.applied(record)
                    seen[record.id] = view_status(applied, Copies(index.ledger).of(record), generation, view)
    return list(seen.values())


def verify_views(index: Index) -> list[Verification]:
    """Compare every id in the ledger with every id in both stores of the live generation."""
    live = index.live()
    with index.pool.using(live.vector, live.keyword) as views:
        return [verify(index.ledger, live, view) for view in views]


def repair_views(index: Index, progress: Progress) -> list[Verification]:
    """Make both stores of the live generation hold exactly what the ledger says; embeds only what the cache has lost."""
    live = index.live()
    with index.ledger.lock("ingest", "the ingest of this state").hold(), ExitStack() as stack:
        views = stack.enter_context(index.pool.using(live.vector, live.keyword))
        for view, model in zip(views, (index.wiring.embedding, None), strict=True):
            if not verify(index.ledger, live, view).sound:
                repair(index.ledger, index.generations, live, view, model, progress)
        return [verify(index.ledger, live, view) for view in views]


def drop_views(index: Index) -> list[str]:
    """Remove the generations that do not answer; returns a sentence for each that had to stay."""
    with index.ledger.lock("ingest", "the ingest of this state").hold():
        return retire(index.ledger, index.generations, index.wiring.open_store)
