"""The embedding cache: vectors by model and input, in a database of its own beside the ledger.

It keeps raw little-endian float32 bytes, so a vector read back equals the one computed to the last bit. It lies apart from the
ledger because it can be thrown away: whatever is missing is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DatabaseError

from ragkit.errors import StateError
from ragkit.state.among import among, joined
from ragkit.state.boundaries import boundary
from ragkit.state.ledger import open_sqlite

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TABLES = MetaData()

_models = Table(
    "models", _TABLES, Column("id", Integer, primary_key=True), Column("fingerprint", String(64), nullable=False, unique=True)
)
_vectors = Table(
    "vectors",
    _TABLES,
    Column("id", Integer, primary_key=True),
    Column("model", Integer, nullable=False),
    Column("input", LargeBinary(16), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    UniqueConstraint("model", "input"),
)

_MODEL = select(_models.c.id).where(_models.c.fingerprint == bindparam("fingerprint"))
_KNOWN = select(_vectors.c.input, _vectors.c.vector).where(_vectors.c.model == _MODEL.scalar_subquery(), among(_vectors.c.input))
"""Statements that are made once: to put one together takes as long as to ask it."""


class EmbeddingCache:
    """The persistent cache of one state. Threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "embeddings.db"
        self._engine = open_sqlite(self._path, synchronous="NORMAL")
        try:
            _TABLES.create_all(self._engine.execution_options(ragkit_write=True))
        except DatabaseError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def get(self, model: str, inputs: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors, each of shape `(dim,)`, of those of `inputs` that are known for `model`."""
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(_KNOWN, {"fingerprint": model, "keys": joined(inputs)}).all()
        except DatabaseError as error:
            raise self._broken(error) from error
        return {key: np.frombuffer(vector, dtype="<f4") for key, vector in rows}

    def put(self, model: str, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors; what is there already stays."""
        if not vectors:
            return
        try:
            with self._engine.connect().execution_options(ragkit_write=True) as connection, connection.begin():
                number = self._model(connection, model)
                if not number:
                    statement = insert(_models).values(fingerprint=model).returning(_models.c.id)
                    number = int(connection.execute(statement).scalar_one())
                rows = [
                    {"model": number, "input": key, "vector": vector.astype("<f4").tobytes()} for key, vector in vectors.items()
                ]
                connection.execute(insert(_vectors).prefix_with("OR IGNORE", dialect="sqlite"), rows)
                boundary("cache.write")
        except DatabaseError as error:
            raise self._broken(error) from error

    def statistics(self) -> dict[str, Any]:
        """How many vectors there are and what they weigh on disk."""
        try:
            with self._engine.connect() as connection:
                entries = connection.execute(select(func.count()).select_from(_vectors)).scalar_one()
        except DatabaseError as error:
            raise self._broken(error) from error
        return {"entries": entries, "bytes": self._path.stat().st_size}

    def _model(self, connection: Connection, fingerprint: str) -> int:
        return int(connection.execute(_MODEL, {"fingerprint": fingerprint}).scalar() or 0)

    def _broken(self, error: DatabaseError) -> StateError:
        return StateError(
            f"the embedding cache {self._path} cannot be used: {error.orig}",
            cure="free disk space, or delete the file: it is filled again, at the price of embedding anew",
        )
