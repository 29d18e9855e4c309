"""What a query needs from the state below: a reader of one generation and its two stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.components import Hits
from ragkit.state.records import ChunkRecord, DocumentRecord

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import VectorStoreQuery


class Reader(Protocol):
    """The live chunks of one pinned generation; see `ragkit.state.reader.Reader`."""

    @property
    def generation(self) -> int: ...

    def alive(self, ids: Sequence[str]) -> dict[str, int]: ...

    def chunks(self, ids: Sequence[str]) -> list[ChunkRecord]: ...

    def document(self, document_id: str) -> DocumentRecord | None: ...

    def document_of(self, chunk_id: str) -> DocumentRecord | None: ...

    def count(self) -> int: ...


class Store(Protocol):
    """A store as a leg asks it; see `ragkit.state.stores.StoreAdapter`."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Mapping[str, Any]: ...

    def search(self, query: VectorStoreQuery) -> Hits: ...

    def vectors(self, ids: Sequence[str]) -> Mapping[str, Sequence[float]] | None: ...

    def score_ids(self, query: str, ids: Sequence[str]) -> list[float] | None: ...

    def count(self) -> int | None: ...
