"""qdrant-client's local mode, with one transaction per batch where it has one per point."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qdrant_client import QdrantClient


@contextmanager
def one_transaction(client: QdrantClient, collection: str) -> Iterator[None]:
    """Make what is written in the block durable at its end, all or nothing.

    Local mode commits every point by itself, which waits for the disk as often. Its connection is reached through names that
    are not documented; where they are others, it stays as slow as it is.
    """
    storage = getattr(getattr(client, "_client", None), "collections", {}).get(collection)
    storage = getattr(storage, "storage", None)
    connection = getattr(storage, "storage", None)
    if storage is None or not isinstance(connection, sqlite3.Connection):
        yield
        return
    storage.storage = _Joining(connection)
    try:
        with connection:
            yield
    finally:
        storage.storage = connection


def delete_collection(client: QdrantClient, collection: str) -> None:
    """Delete a collection, if it is there, and close its file, which local mode forgets."""
    held = getattr(getattr(client, "_client", None), "collections", {}).get(collection)
    client.delete_collection(collection)
    if held is not None:
        held.close()


class _Joining:
    """A connection within a transaction: its own are parts of that."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *exc: object) -> None:
        pass
