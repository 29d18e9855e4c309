"""Chroma: a vector store in a folder under ragkit's state, on a server, or in Chroma Cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import SecretStr, model_validator

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime, secret
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_chroma.store import ChromaStore

_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:]+")
_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")
_OF_SERVERS = ("port", "ssl", "headers", "tenant", "database")


class ChromaOptions(Options):
    """The YAML keys of `vector_store: {use: chroma, …}`."""

    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    m: int = identity(default=16, ge=2, le=512, description="HNSW: how many neighbours each vector keeps.")
    ef_construction: int = identity(default=100, ge=4, le=10_000, description="HNSW: how broadly to search while building.")
    ef_search: int = runtime(
        default=400,
        ge=1,
        le=10_000,
        description="HNSW: how broadly to search a query; one that asks for more hits searches as broadly as it asks.",
    )
    store_text: bool = identity(default=False, description="Keep the chunks' text in Chroma too.")
    host: str | None = runtime(
        default=None, description="The name or IP address of a Chroma server. Without it (and `api_key`) Chroma is embedded."
    )
    port: int | None = runtime(default=None, ge=1, le=65_535, description="The server's port; 8000, or 443 with `ssl`.")
    ssl: bool = runtime(default=False, description="Whether the server is asked over HTTPS; Chroma Cloud always is.")
    headers: dict[str, SecretStr] | None = secret(default=None, description="HTTP headers for every request, such as a token.")
    api_key: SecretStr | None = secret(
        default=None, description="The key of Chroma Cloud; with `host`, of that server (header `X-Chroma-Token`)."
    )
    tenant: str | None = runtime(
        default=None, min_length=1, description="The tenant; `default_tenant`, in Chroma Cloud that of the key."
    )
    database: str | None = runtime(
        default=None, min_length=1, description="The database; `default_database`, in Chroma Cloud the one that the key opens."
    )
    timeout: float = runtime(
        default=30.0, gt=0, le=3600, description="Seconds that a server has to answer; faults that may pass are retried as long."
    )

    @property
    def remote(self) -> bool:
        """Whether Chroma is a server or Chroma Cloud rather than a folder."""
        return self.host is not None or self.api_key is not None

    def identity_values(self) -> dict[str, Any]:
        """A server's collection is another index than a folder's: going from one to the other builds it beside the old."""
        values = super().identity_values()
        return {**values, "place": "server"} if self.remote else values

    @model_validator(mode="after")
    def _address(self) -> Self:
        given = [key for key in _OF_SERVERS if getattr(self, key)]
        if given and not self.remote:
            raise ValueError(f"'{given[0]}' needs 'host', a server's, or 'api_key', Chroma Cloud's")
        if self.host is not None and not _HOST.fullmatch(self.host):
            raise ValueError("'host' must be a name or an IP address alone: the rest of a URL goes into 'port' and 'ssl'")
        if self.host is None and (self.port or self.ssl):
            raise ValueError("'port' and 'ssl' need 'host': Chroma Cloud's are known")
        for value in (self.api_key, *(self.headers or {}).values()):
            if value is not None and not _HEADER.fullmatch(value.get_secret_value()):
                raise ValueError("'api_key' and 'headers' must be what HTTP carries: ASCII, no space or line break at either end")
        return self


def adapt(options: ChromaOptions) -> Mapping[str, Any]:
    """A server serves many processes."""
    return {"processes": "server"} if options.remote else {}


def build(options: ChromaOptions, context: BuildContext) -> ChromaStore:
    """Open the collection in the component's folder or on the server, or create it."""
    from ragkit_chroma.places import Folder, Server
    from ragkit_chroma.store import ChromaStore

    place = Server.of(options) if options.remote else Folder(context.folder)
    return ChromaStore.open(place, context.collection, options)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `chroma`."""
    return [
        Component(
            "chroma",
            ChromaOptions,
            build,
            summary="Chroma: embedded in a folder for one process at a time, a server, or Chroma Cloud",
            capabilities={
                "processes": "one",
                "metrics": ["cosine", "dot", "l2"],
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "vectors": True,
                "incremental": True,
                "stores_text": True,
                "async": True,
            },
            version=2,
            adapt=adapt,
        )
    ]
