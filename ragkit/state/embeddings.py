"""The persistent layer of the embedding cache: vectors by model and input, in a database of its own beside the ledger.

It keeps raw little-endian float32 bytes, so a vector read back equals the one computed to the last bit. It lies apart from the
ledger because it can be thrown away: whatever is missing is computed again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from ragkit.errors import StateError
from ragkit.state.among import among, joined
from ragkit.state.boundaries import boundary
from ragkit.state.columns import LONG, upsert
from ragkit.state.storage import BROKEN, Storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAME = "embeddings"
_TABLES = MetaData()
_DAY_S = 86_400
_SLACK = 0.1
"""So much more than the bound goes when it is reached, so that not every write has to make room."""

_models = Table(
    "models", _TABLES, Column("id", LONG, primary_key=True), Column("fingerprint", String(64), nullable=False, unique=True)
)
_vectors = Table(
    "vectors",
    _TABLES,
    Column("id", LONG, primary_key=True),
    Column("model", LONG, nullable=False),
    Column("input", LargeBinary(16), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("query", Boolean, nullable=False, server_default="0"),
    Column("used", LONG, nullable=False, server_default="0"),
    UniqueConstraint("model", "input"),
)
"""`query` tells questions from chunks; `used` is the day of the last use, in seconds since the epoch."""

_counters = Table("counters", _TABLES, Column("name", String(32), primary_key=True), Column("value", LONG, nullable=False))
_live = Table("live", MetaData(), Column("input", LargeBinary(16), primary_key=True), prefixes=["TEMPORARY"])

_MODEL = select(_models.c.id).where(_models.c.fingerprint == bindparam("fingerprint"))
_ASKED = (_vectors.c.model == _MODEL.scalar_subquery()) & among(_vectors.c.input)
_KNOWN = select(_vectors.c.input, _vectors.c.vector, _vectors.c.used).where(_ASKED)
_HELD = select(_vectors.c.input).where(_ASKED)
_USED = update(_vectors).where(_ASKED).values(used=bindparam("today"))
"""Statements that are made once: to put one together takes as long as to ask it."""


class EmbeddingCache:
    """The vectors of one state. Threads and processes may share it.

    Of the vectors that no chunk needs, those of questions and of chunks that are gone, at most `most` are kept.
    """

    name = "disk"

    def __init__(self, storage: Storage, most: int = 1_000_000) -> None:
        self._storage = storage
        self._most = most
        self._room = 0
        self._engine = storage.open(_NAME, durable=False)
        self._single = storage.single(self._engine)
        try:
            _TABLES.create_all(self._engine.execution_options(ragkit_write=True))
            self._add_columns()
        except BROKEN as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._storage.close(self._engine)

    def get(self, model: str, inputs: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors, each of shape `(dim,)`, of those of `inputs` that are known for `model`."""
        today = _today()
        asked = {"fingerprint": model, "keys": joined(inputs)}
        try:
            with self._single.connect() as connection:
                rows = connection.execute(_KNOWN, asked).all()
        except BROKEN as error:
            raise self._broken(error) from error
        stale = [key for key, _, used in rows if used < today]
        if stale:
            with suppress(*BROKEN), self._writing() as connection, connection.begin():  # of use to a later day alone
                connection.execute(_USED, {"fingerprint": model, "keys": joined(stale), "today": today})
        return {key: np.frombuffer(vector, dtype="<f4") for key, vector, _ in rows}

    def lacking(self, model: str, inputs: Sequence[bytes]) -> list[bytes]:
        """Those of `inputs` that are not known for `model`, in their order."""
        try:
            with self._single.connect() as connection:
                held = set(connection.execute(_HELD, {"fingerprint": model, "keys": joined(inputs)}).scalars())
        except BROKEN as error:
            raise self._broken(error) from error
        return [key for key in inputs if key not in held]

    def put(self, model: str, vectors: Mapping[bytes, NDArray[np.float32]], *, queries: bool = False) -> None:
        """Keep vectors, of questions or of chunks; what is there already stays."""
        if not vectors:
            return
        today = _today()
        try:
            with self._writing() as connection, connection.begin():
                number = connection.execute(_MODEL, {"fingerprint": model}).scalar()
                if not number:
                    statement = insert(_models).values(fingerprint=model).returning(_models.c.id)
                    number = connection.execute(statement).scalar_one()
                rows = [
                    {"model": number, "input": key, "vector": vector.astype("<f4").tobytes(), "query": queries, "used": today}
                    for key, vector in vectors.items()
                ]
                connection.execute(upsert(connection, _vectors).on_conflict_do_nothing(), rows)
                if queries:
                    self._bound_queries(connection, len(rows))
                boundary("cache.write")
        except BROKEN as error:
            raise self._broken(error) from error

    def prune(self, live: Iterable[Sequence[bytes]], most: int | None = None) -> int:
        """Forget what was not used for longest, but none of the inputs in the batches of `live`; returns how many went.

        `most` is how many others may stay, instead of what the cache was opened with.
        """
        bound = self._most if most is None else most
        try:
            with self._writing() as connection, connection.begin():
                _live.create(connection, checkfirst=False)
                for batch in live:
                    rows = [{"input": key} for key in batch]
                    connection.execute(upsert(connection, _live).on_conflict_do_nothing(), rows)
                others = _vectors.c.input.not_in(select(_live.c.input))
                held = int(connection.execute(select(func.count()).select_from(_vectors).where(others)).scalar_one())
                gone = 0
                if held > bound:
                    kept = int(bound * (1 - _SLACK))
                    oldest = select(_vectors.c.id).where(others).order_by(_vectors.c.used, _vectors.c.id).limit(held - kept)
                    gone = connection.execute(delete(_vectors).where(_vectors.c.id.in_(oldest))).rowcount
                _live.drop(connection)
                return gone
        except BROKEN as error:
            raise self._broken(error) from error

    def holds_more(self, live: int) -> bool:
        """Whether there may be more than the bound beside so many live inputs; quicker than `prune` finds out."""
        return int(self.statistics()["entries"]) - live > self._most

    def statistics(self) -> dict[str, Any]:
        """How many vectors there are and what they weigh on disk."""
        try:
            with self._engine.connect() as connection:
                entries = connection.execute(select(func.count()).select_from(_vectors)).scalar_one()
        except BROKEN as error:
            raise self._broken(error) from error
        return {"entries": int(entries), "bytes": self._storage.size_bytes(_NAME, _TABLES)}

    def counts(self) -> dict[str, int]:
        """What `count` has added up, by name."""
        with suppress(*BROKEN), self._single.connect() as connection:
            return {row.name: row.value for row in connection.execute(select(_counters))}
        return {}

    def count(self, values: Mapping[str, int]) -> None:
        """Add numbers to counters; one that cannot be written is lost."""
        rows = [{"name": name, "value": value} for name, value in values.items() if value]
        if rows:
            with suppress(*BROKEN), self._writing() as connection, connection.begin():
                statement = upsert(connection, _counters)
                added = statement.on_conflict_do_update(
                    index_elements=["name"], set_={"value": _counters.c.value + statement.excluded.value}
                )
                connection.execute(added, rows)

    def forget_counts(self) -> None:
        """Begin to count anew."""
        with suppress(*BROKEN), self._writing() as connection, connection.begin():
            connection.execute(delete(_counters))

    def _bound_queries(self, connection: Connection, added: int) -> None:
        """Drop questions that are too many. They are counted once in a while; half the room is left to other processes."""
        self._room -= added
        if self._room >= 0:
            return
        held = int(connection.execute(select(func.count()).select_from(_vectors).where(_vectors.c.query)).scalar_one())
        if held > self._most:
            kept = int(self._most * (1 - _SLACK))
            oldest = select(_vectors.c.id).where(_vectors.c.query).order_by(_vectors.c.used, _vectors.c.id).limit(held - kept)
            connection.execute(delete(_vectors).where(_vectors.c.id.in_(oldest)))
            held = kept
        self._room = (self._most - held) // 2

    def _writing(self) -> Connection:
        return self._engine.connect().execution_options(ragkit_write=True)

    def _add_columns(self) -> None:
        """A cache of an older ragkit lacks some columns; their defaults are right for what it holds."""
        known = {column["name"] for column in inspect(self._engine).get_columns("vectors")}
        with self._writing() as connection, connection.begin():
            for name, kind in (("query", "BOOLEAN"), ("used", "INTEGER")):
                if name not in known:
                    connection.exec_driver_sql(f"ALTER TABLE vectors ADD COLUMN {name} {kind} NOT NULL DEFAULT 0")

    def _broken(self, error: SQLAlchemyError) -> StateError:
        fault = self._storage.fault(error, spare=True)
        return StateError(
            f"the embedding cache {self._storage.where(_NAME)} cannot be used: {fault.reason}",
            cure=f"{fault.cure}, at the price of embedding anew",
        )


def _today() -> int:
    return int(time.time()) // _DAY_S * _DAY_S
