"""Where a state is kept: its tables, the locks between those who use them, and the files that stay on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from ragkit.state.locks import Lock

BROKEN = (DBAPIError, TimeoutError)
"""What a database raises that cannot be used; a pool raises the second where all connections are taken."""


@dataclass(frozen=True)
class Fault:
    """What a database's error means, and what to do about it."""

    reason: str
    cure: str


class Storage(Protocol):
    """The databases of one state by name (`ledger`, `embeddings`, `scores`, `conversations`). Threads may share it.

    `folder` holds what stays on this machine: embedded stores, raw input, uploads. `place` names this machine's folder among
    those of all machines that share the tables; it is empty where there is only one.
    """

    folder: Path
    place: str

    def prepare(self) -> None:
        """Make it ready for its first database. Raises `StateError` where it cannot be used."""

    def open(self, name: str, *, durable: bool) -> Engine:
        """The engine of a database. A connection sees one snapshot; with the execution option `ragkit_write`, writers queue.

        A `durable` one survives a power cut with every commit, another may lose the last ones, never more.
        """

    def single(self, engine: Engine) -> Engine:
        """The same for reading with one statement, which needs no transaction: a server is asked once instead of three times."""

    def close(self, engine: Engine) -> None:
        """Let go of what `open` gave."""

    def has(self, name: str, tables: MetaData) -> bool:
        """Whether that database is there yet, with these tables. Nothing is made. Raises `StateError`."""

    def where(self, name: str) -> str:
        """Where it is, for messages; without a password."""

    def fault(self, error: SQLAlchemyError, *, spare: bool = False) -> Fault:
        """What an error of one of the engines means; `spare` says that its database can be filled again."""

    def size_bytes(self, name: str, tables: MetaData) -> int:
        """What a database weighs, which has these tables."""

    def analyze(self, engine: Engine, tables: MetaData) -> None:
        """Have a database that plans by its rows' number and values count them, after many have changed."""

    def lock(self, name: str, what: str) -> Lock:
        """A lock that all who share the tables see, not taken yet; `what` names in messages what it protects."""
