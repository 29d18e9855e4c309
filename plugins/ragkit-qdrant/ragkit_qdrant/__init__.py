"""Qdrant: a server, qdrant-client's local mode, or Qdrant Edge, the real engine in the process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime, secret
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_qdrant.edge import QdrantEdgeStore
    from ragkit_qdrant.store import QdrantStore

_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?(/[\w./~-]*)?", re.ASCII)
_OF_SERVERS = (
    "api_key", "prefer_grpc", "grpc_port", "timeout", "shards", "replication_factor", "quantization", "m", "ef_construct",
    "ef_search", "payload_indexes",
)  # fmt: skip
IndexKind = Literal["keyword", "integer", "float", "bool", "date"]


class _Common(Options):
    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    m: int = identity(default=16, ge=2, le=512, description="HNSW: how many neighbours each vector keeps.")
    ef_construct: int = identity(default=100, ge=4, le=10_000, description="HNSW: how broadly to search while building.")
    ef_search: int = runtime(
        default=200,
        ge=1,
        le=10_000,
        description="HNSW: how broadly to search a query; one that asks for more hits searches as broadly as it asks.",
    )
    quantization: Literal["none", "scalar", "binary"] = identity(
        default="none", description="Compress the vectors that are searched; the originals rank what is found."
    )
    payload_indexes: dict[str, IndexKind] = runtime(
        default_factory=dict,
        description="Metadata keys that filters name, and the type of their values (keyword, integer, float, bool, date): "
        "indexed, filters on them are fast in large collections. Made with the next write.",
    )
    store_text: bool = identity(default=False, description="Keep the chunks' text in Qdrant too.")

    @field_validator("payload_indexes")
    @classmethod
    def _keys(cls, value: dict[str, IndexKind]) -> dict[str, IndexKind]:
        from ragkit_qdrant.records import filterable

        for key in value:
            if not filterable(key):
                raise ValueError(f"{key!r} is no key that Qdrant can index: it is empty, or has quotes or backslashes")
        return value


class QdrantOptions(_Common):
    """The YAML keys of `vector_store: {use: qdrant, …}`. Without `url`, qdrant-client's local mode."""

    url: str | None = runtime(
        default=None,
        description="The server, such as `http://localhost:6333`. Without it, a folder in ragkit's state, searched exactly.",
    )
    api_key: SecretStr | None = secret(default=None, min_length=1, description="The server's key.")
    prefer_grpc: bool = runtime(default=False, description="Whether to speak gRPC where the client can.")
    grpc_port: int = runtime(default=6334, ge=1, le=65_535, description="The server's port for gRPC.")
    timeout: int = runtime(
        default=30, ge=1, le=3600, description="Seconds that a server has to answer; faults that may pass are retried as long."
    )
    shards: int | None = identity(default=None, ge=1, description="How many shards a new collection has; the server's default.")
    replication_factor: int | None = identity(
        default=None, ge=1, description="On how many nodes each shard of a new collection lies; the server's default."
    )

    def identity_values(self) -> dict[str, Any]:
        """A server's collection is another index than a folder's: going from one to the other builds it beside the old."""
        values = super().identity_values()
        return {**values, "server": True} if self.url is not None else values

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not _URL.fullmatch(value):
            raise ValueError("must be like 'http://localhost:6333': a key goes into 'api_key', not into the URL")
        return value

    @field_validator("api_key")
    @classmethod
    def _header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("must be what HTTP carries: ASCII without spaces or line breaks")
        return value

    @model_validator(mode="after")
    def _served(self) -> Self:
        given = [
            key
            for key in _OF_SERVERS
            if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default
        ]
        if given and self.url is None:
            raise ValueError(f"'{given[0]}' needs 'url', a server's: local mode searches exactly and has no indexes")
        return self


class QdrantEdgeOptions(_Common):
    """The YAML keys of `vector_store: {use: qdrant-edge, …}`."""


def build(options: QdrantOptions, context: BuildContext) -> QdrantStore:
    """Open the collection on the server, or in the component's folder."""
    from ragkit_qdrant.store import QdrantStore

    return QdrantStore.open(context.folder, context.collection, options)


def build_edge(options: QdrantEdgeOptions, context: BuildContext) -> QdrantEdgeStore:
    """Open the shard in the component's folder."""
    from ragkit_qdrant.edge import QdrantEdgeStore

    return QdrantEdgeStore(context.folder, options)


def adapt(options: QdrantOptions) -> Mapping[str, Any]:
    """A server serves many processes."""
    return {"processes": "server"} if options.url is not None else {}


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `qdrant` and `qdrant-edge`."""
    capabilities = {
        "processes": "one",
        "metrics": ["cosine", "dot", "l2"],
        "filters": list(OPERATORS),
        "delete": True,
        "upsert": True,
        "vectors": True,
        "incremental": True,
        "stores_text": True,
        "async": True,
    }
    summary = "Qdrant: a server, or a folder searched exactly by qdrant-client's local mode, one process at a time"
    edge = "Qdrant Edge (beta): Qdrant's engine in the process, HNSW in a folder, one process at a time"
    return [
        Component("qdrant", QdrantOptions, build, summary=summary, capabilities=capabilities, adapt=adapt),
        Component("qdrant-edge", QdrantEdgeOptions, build_edge, summary=edge, capabilities=capabilities),
    ]
