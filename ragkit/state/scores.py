"""The score cache: what reranking models said of a question and a text, in a database of its own beside the ledger.

It can be thrown away, and it never stands in the way of an answer: where it cannot be read nothing is known, and where
it cannot be written nothing is kept.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)

from ragkit.errors import StateError
from ragkit.state.among import among, joined
from ragkit.state.columns import LONG, upsert
from ragkit.state.hashing import digest
from ragkit.state.storage import BROKEN, Storage

_NAME = "scores"
_TABLES = MetaData()
_DAY_S = 86_400
_SLACK = 0.1
"""So much more than the bound goes when it is reached, so that not every write has to make room."""

_scores = Table(
    "scores",
    _TABLES,
    Column("key", LargeBinary(16), primary_key=True),
    Column("score", Float, nullable=False),
    Column("used", LONG, nullable=False),
    Index("scores_used", "used"),
    sqlite_with_rowid=False,
)
"""`key` is the hash of model, question and text; `used` the day of the last use, in seconds since the epoch."""

_counters = Table("score_counters", _TABLES, Column("name", String(16), primary_key=True), Column("value", LONG, nullable=False))

_KNOWN = select(_scores.c.key, _scores.c.score, _scores.c.used).where(among(_scores.c.key))
_USED = update(_scores).where(among(_scores.c.key)).values(used=bindparam("today"))


class ScoreCache:
    """The score cache of one state, at most `most` scores. Threads and processes may share it."""

    def __init__(self, storage: Storage, most: int) -> None:
        self._storage = storage
        self._most = most
        self._made: Engine | None = None
        self._lock = threading.Lock()
        self._asked = {"hits": 0, "misses": 0}
        self._room = 0

    def close(self) -> None:
        """Write down how often it helped, and close every connection."""
        with self._lock:
            engine, self._made = self._made, None
        if engine is not None:
            with suppress(*BROKEN):
                self._count(engine)
            self._storage.close(engine)

    def get(self, model: str, query: str, texts: Sequence[str]) -> list[float | None]:
        """The score of each of `texts`, or None."""
        keys = [digest(model, query, text) for text in texts]
        found: dict[bytes, float] = {}
        stale: list[bytes] = []
        with suppress(*BROKEN):
            with self._storage.single(self._engine()).connect() as connection:
                today = _today()
                for key, score, used in connection.execute(_KNOWN, {"keys": joined(keys)}):
                    found[key] = score
                    if used < today:
                        stale.append(key)
            self._touch(stale)
        hits = sum(key in found for key in keys)
        with self._lock:
            self._asked["hits"] += hits
            self._asked["misses"] += len(keys) - hits
        return [found.get(key) for key in keys]

    def put(self, model: str, query: str, scores: Mapping[str, float]) -> None:
        """Keep the scores by text, but none that is no number; those that were not used for longest make room."""
        sound = {text: score for text, score in scores.items() if math.isfinite(score)}
        rows = [{"key": digest(model, query, text), "score": score, "used": _today()} for text, score in sound.items()]
        if not rows or self._most == 0:
            return
        with suppress(*BROKEN), _writing(self._engine()).begin() as connection:
            statement = upsert(connection, _scores)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["key"], set_={"score": statement.excluded.score}), rows
            )
            self._room -= len(rows)
            if self._room < 0:
                self._room = self._make_room(connection)

    def clear(self) -> int:
        """Forget everything; returns how many scores there were. Raises `StateError` where that cannot be done."""
        try:
            with _writing(self._engine()).begin() as connection:
                gone = connection.execute(delete(_scores)).rowcount
                connection.execute(delete(_counters))
        except BROKEN as error:
            fault = self._storage.fault(error, spare=True)
            raise StateError(
                f"the score cache {self._storage.where(_NAME)} cannot be used: {fault.reason}", cure=fault.cure
            ) from error
        return int(gone)

    def statistics(self) -> dict[str, Any]:
        """How many scores there are and may be, what they weigh on disk, and how often one was known or not so far."""
        told: dict[str, Any] = {"entries": 0, "most": self._most, "bytes": 0, **self._asked}
        if not self._storage.has(_NAME, _TABLES):
            return told
        with suppress(*BROKEN), self._engine().connect() as connection:
            told["entries"] = connection.execute(select(func.count()).select_from(_scores)).scalar_one()
            for name, value in connection.execute(select(_counters.c.name, _counters.c.value)):
                told[name] += value
        return {**told, "bytes": self._storage.size_bytes(_NAME, _TABLES)}

    def _engine(self) -> Engine:
        """The database, made when it is first needed."""
        with self._lock:
            if self._made is None:
                engine = self._storage.open(_NAME, durable=False)
                _TABLES.create_all(_writing(engine))
                self._made = engine
            return self._made

    def _make_room(self, connection: Connection) -> int:
        """Drop what is too much, and tell how many may be put before that is looked at again.

        Counting a million takes 10 ms, so it is not done for every question. Half of what there is room for is left to other
        processes.
        """
        held = connection.execute(select(func.count()).select_from(_scores)).scalar_one()
        if held > self._most:
            kept = int(self._most * (1 - _SLACK))
            oldest = select(_scores.c.key).order_by(_scores.c.used, _scores.c.key).limit(held - kept)
            connection.execute(delete(_scores).where(_scores.c.key.in_(oldest)))
            held = kept
        return (self._most - int(held)) // 2

    def _touch(self, keys: Sequence[bytes]) -> None:
        """Note that these were used today."""
        if keys:
            with _writing(self._engine()).begin() as connection:
                connection.execute(_USED, {"keys": joined(keys), "today": _today()})

    def _count(self, engine: Engine) -> None:
        with self._lock:
            rows = [{"name": name, "value": value} for name, value in self._asked.items() if value]
            self._asked = dict.fromkeys(self._asked, 0)
        if rows:
            with _writing(engine).begin() as connection:
                statement = upsert(connection, _counters)
                added = _counters.c.value + statement.excluded.value
                connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": added}), rows)


def _writing(engine: Engine) -> Engine:
    return engine.execution_options(ragkit_write=True)


def _today() -> int:
    return int(time.time()) // _DAY_S * _DAY_S
