"""The index of one configuration: which generation answers, opening it, and bringing it up to date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from ragkit.config import Config, render, shown_state
from ragkit.errors import ConfigError, MismatchError, Problem, StateError
from ragkit.host.words import nearest
from ragkit.ingest.apply import apply
from ragkit.ingest.documents import DocumentSync, Rules
from ragkit.ingest.following import following
from ragkit.ingest.preparing import Preparer
from ragkit.ingest.report import Clock, IngestReport, Progress, Tally, ViewReport, most_frequent, percentiles
from ragkit.ingest.retire import retire
from ragkit.pipeline.caches import bound, open_cache
from ragkit.pipeline.following import Follower
from ragkit.pipeline.opened import OpenGeneration
from ragkit.pipeline.pool import ViewPool
from ragkit.pipeline.wiring import UPLOADS, Wiring, collection_prefix
from ragkit.state.cached_embedding import CachedEmbedding
from ragkit.state.conversations import Conversations
from ragkit.state.generations import Generations
from ragkit.state.hashing import fingerprint
from ragkit.state.ledger import Ledger
from ragkit.state.records import GenerationRecord
from ragkit.state.schema import TABLES
from ragkit.state.scores import ScoreCache
from ragkit.state.sqlite import SqliteStorage
from ragkit.state.storage import Storage
from ragkit.state.views import View

_MANY = 1_000
"""After so many changes of chunks the database is to know its tables anew."""


def storage_of(config: Config) -> Storage:
    """Where the state of a configuration is kept; nothing is opened yet."""
    if config.local is None:
        return SqliteStorage(Path(config.state))
    from ragkit.state.postgres import PostgresStorage

    return PostgresStorage(config.state, Path(config.local))


def index_exists(config: Config) -> bool:
    """Whether there is a state to open."""
    return storage_of(config).has("ledger", TABLES)


def nothing_ingested(config: Config) -> MismatchError:
    """The error for a question before the first ingest."""
    return MismatchError(f"nothing has been ingested yet into {shown_state(config)}", cure=f"run `{_command(config)}`")


def _command(config: Config) -> str:
    return f"ragkit ingest -c {config.file}" if config.file else "ragkit ingest"


class Index:
    """The state of one configuration in this process. Threads may share it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        storage = storage_of(config)
        self.ledger = Ledger(storage)
        self.cache = open_cache(config.cache, storage)
        self.generations = Generations(self.ledger, collection_prefix(config.name))
        self.scores = ScoreCache(storage, config.cache.scores)
        self.conversations = Conversations(storage, most=config.chat.conversations, turns=config.chat.turns)
        self.wiring = Wiring(config, self.ledger, self.cache, self.scores)
        self.pool = ViewPool(self.ledger, self.wiring.open_store)
        self._opened: OpenGeneration | None = None
        self._follower: Follower | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close everything that is open."""
        with self._lock:
            follower, self._follower = self._follower, None
        if follower is not None:
            follower.close()
        with self._lock:
            if self._opened is not None:
                self._opened.retire()
                self._opened = None
        self.cache.close()
        self.scores.close()
        self.conversations.close()
        self.ledger.close()

    @contextmanager
    def reading(self) -> Iterator[OpenGeneration]:
        """The live generation, pinned for one query. Raises `MismatchError` where it is not the one configured."""
        with self._lock:
            number = self.generations.live_number()
            if self._opened is None or self._opened.record.id != number:
                self._let_go()
                self._opened = OpenGeneration(self.ledger, self.generations, self.live(), self.wiring, self.pool)
                if self._opened.has_copies and self._follower is None:
                    self._follower = Follower(self._follow)
            pin = self._opened.pinned()
            opened = pin.__enter__()
        try:
            yield opened
        finally:
            pin.__exit__(None, None, None)

    def _follow(self) -> bool:
        """Bring what this machine has of the live generation up to date; whether there was anything to do."""
        with self.reading() as opened:
            return opened.catch_up()

    def live(self) -> GenerationRecord:
        """The live generation, if it is the configured one."""
        live = self.generations.live()
        if live is None:
            raise nothing_ingested(self.config)
        differs = self.generations.matches(self.wiring.wanted(), live)
        if differs:
            raise MismatchError(
                f"the live index (generation {live.id}) differs from this configuration in: {', '.join(differs)}",
                cure=f"run `{_command(self.config)}` to build it, or use the configuration that it was made with",
            )
        return live

    def ingest(self, rules: Rules, progress: Progress, *, views_only: bool) -> IngestReport:
        """Bring ledger and views up to date; one full ingest at a time. Raises `ConfigError` where `only` names no source."""
        self._require_sources(rules.only)
        started = time.monotonic()
        if rules.dry_run:
            sync = self._documents(rules, progress, None, None, lambda: None, Clock())
            return self._report(sync.tally, (), started, dry_run=True)
        wanted = self.wiring.wanted()
        with self.ledger.lock("ingest", "the ingest of this state").hold():
            run = self.ledger.start_run(fingerprint(render(self.config)))
            try:
                report = self._ingest(rules, progress, self.generations.ensure(wanted), started, views_only=views_only)
            except BaseException as error:
                with suppress(StateError):
                    self.ledger.finish_run(run, "failed", {"error": f"{type(error).__name__}: {error}"})
                raise
            self.ledger.finish_run(run, "part" if report.exit_status else "done", report.to_dict())
            return report

    def _ingest(
        self, rules: Rules, progress: Progress, target: GenerationRecord, started: float, *, views_only: bool
    ) -> IngestReport:
        embedding = self.wiring.embedding
        before, hits = (embedding.embedded, embedding.cache_hits), self.cache.hits
        with self.pool.using(target.vector, target.keyword) as views:
            for view in views:
                view.require_sound()
            clock = Clock()
            steps = {
                view: clock.timed(view.record.kind, partial(apply, self.ledger, self.generations, view, model, progress))
                for view, model in zip(views, (embedding, None), strict=True)
            }
            stepwise = [step for view, step in steps.items() if view.store.capabilities.get("incremental", True)]
            with following(stepwise, list(steps.values())) as stored:
                sync = self._documents(rules, progress, target.chunking, embedding, stored, clock, views_only=views_only)
            for view in views:
                view.require_sound()
            report = self._report(sync.tally, views, started, chunking=target.chunking)
        report = replace(
            report,
            embedded=embedding.embedded - before[0],
            cache_hits=embedding.cache_hits - before[1],
            cache={layer: count - hits[layer] for layer, count in self.cache.hits.items() if layer != "misses"},
        )
        if report.chunks["added"] + report.chunks["removed"] > _MANY:
            self.ledger.analyze()
        if not target.live:
            self.generations.switch(target)
        with self._lock:
            if self._opened is not None and self._opened.record.id != target.id:
                self._let_go(drain=True)
        for sentence in retire(self.ledger, self.generations, self.wiring.open_store):
            progress("retire", 0, None, sentence)
        bound(self.cache, self.ledger)
        return report

    def _documents(
        self,
        rules: Rules,
        progress: Progress,
        chunking: int | None,
        embedding: CachedEmbedding | None,
        stored: Callable[[], None],
        clock: Clock,
        *,
        views_only: bool = False,
    ) -> DocumentSync:
        with ExitStack() as stack:
            cutting = None if chunking is None else stack.enter_context(closing(self.wiring.cutting(clock)))
            preparer = Preparer(self.ledger, cutting, self.wiring.cleaning(), clock, rehash=rules.rehash)
            sync = DocumentSync(self.ledger, chunking, preparer, rules, progress, embedding=embedding, stored=stored)
            if not views_only:
                sync.run(self.wiring.sources(rules.only))
            sync.cut_remaining()
        return sync

    def _report(
        self, tally: Tally, views: Sequence[View], started: float, *, chunking: int = 0, dry_run: bool = False
    ) -> IngestReport:
        totals = self.ledger.counts(chunking)
        notes = list(tally.notes)
        if not totals["documents"] and not tally.documents["added"] and not notes:
            names = ", ".join(source.name for source in self.config.sources)
            notes.append(f"no documents in {names} → check `path`, `include` and `exclude` of the source")
        reports = [
            ViewReport(view.record.component, view.record.kind, self.generations.applied(view.record), view.store.count())
            for view in views
        ]
        return IngestReport(
            documents=tally.counts(),
            chunks={
                "added": tally.chunks.added, "removed": tally.chunks.removed, "total": totals["chunks"],
                "truncated": totals["truncated"],
            },
            embedded=0, cache_hits=0, views=tuple(reports), failures=tuple(tally.failures), notes=tuple(notes),
            seconds=round(time.monotonic() - started, 3), dry_run=dry_run,
            sources={name: dict(counted) for name, counted in tally.sources.items()}, categories=most_frequent(tally.categories),
            authors=most_frequent(tally.authors), chunk_tokens=percentiles(tally.lengths), stages=tally.clock.seconds(),
        )  # fmt: skip

    def _require_sources(self, only: Sequence[str]) -> None:
        names = list(dict.fromkeys([*(source.name for source in self.config.sources), UPLOADS]))
        problems = []
        for name in only:
            if name not in names:
                meant = nearest(name, names)
                problems.append(Problem("only", f"there is no source {name!r}" + (f"; did you mean {meant!r}?" if meant else "")))
        if problems:
            raise ConfigError(problems, cure=f"the sources are: {', '.join(names)}")

    def _let_go(self, *, drain: bool = False) -> None:
        if self._opened is not None:
            self._opened.retire(drain=drain)
            self._opened = None
