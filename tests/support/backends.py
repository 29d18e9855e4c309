"""Every vector store of this repository as a YAML names it, with the servers that some of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

EMBEDDED = ("memory", "faiss", "chroma", "qdrant", "qdrant-edge")
"""Stores in a folder of the state."""


class Servers:
    """Starts a store's server when it is first asked for, and stops all of them in the end.

    Chroma's and PostgreSQL's are real. Those of Qdrant and Pinecone are made for the tests and speak the vendors' API; what
    passes through them has to keep to it.
    """

    NAMES = ("chroma server", "pgvector", "qdrant server", "pinecone")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ends = ExitStack()
        self._started: dict[str, dict[str, Any]] = {}
        self._checked: list[Any] = []

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        violations = [violation for server in self._checked for violation in server.violations]
        self._ends.close()
        assert violations == []

    def yaml(self, store: str) -> dict[str, Any]:
        """What stands under `vector_store`."""
        if store in EMBEDDED:
            return {"use": store}
        if store not in self._started:
            start: Mapping[str, Callable[[], dict[str, Any]]] = {
                "chroma server": self._chroma, "pgvector": self._postgres, "qdrant server": self._qdrant,
                "pinecone": self._pinecone,
            }  # fmt: skip
            self._started[store] = start[store]()
        return self._started[store]

    def _chroma(self) -> dict[str, Any]:
        from chroma_server import chroma_server

        port = self._ends.enter_context(chroma_server(self._folder / "chroma"))
        return {"use": "chroma", "host": "127.0.0.1", "port": port}

    def _postgres(self) -> dict[str, Any]:
        from postgres import running

        return {"use": "pgvector", "url": self._ends.enter_context(running()).url()}

    def _qdrant(self) -> dict[str, Any]:
        from qdrant_server import QdrantServer

        server = self._kept(partial(QdrantServer, key="swaps"))
        return {"use": "qdrant", "url": server.url, "api_key": "swaps"}

    def _pinecone(self) -> dict[str, Any]:
        from pinecone_server import PineconeServer

        return {"use": "pinecone", **self._kept(PineconeServer).options()}

    def _kept(self, make: Callable[[], Any]) -> Any:
        server = self._ends.enter_context(make())
        self._checked.append(server)
        return server
