"""Pinecone: a vector store in the provider's cloud, one namespace per collection in serverless indexes made on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, field_validator

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime, secret
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_pinecone.store import PineconeStore


class PineconeOptions(Options):
    """The YAML keys of `vector_store: {use: pinecone, …}`."""

    model_config = ConfigDict(hide_input_in_errors=True)  # somebody may write a key into `host`

    api_key: SecretStr | None = secret(
        default=None, description="The API key, as `${PINECONE_API_KEY}`; left out, that variable of the environment."
    )
    host: str = runtime(
        default="https://api.pinecone.io",
        description="The control plane, or a local server that stands in for both planes; it says where an index lies.",
    )
    index: str | None = runtime(
        default=None,
        max_length=45,
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        description="The index, made where it is missing. Left out: one for all projects of the same metric and dimension, "
        "such as `ragkit-cosine-384`.",
    )
    cloud: Literal["aws", "gcp", "azure"] = runtime(default="aws", description="Where a new index is made.")
    region: str = runtime(default="us-east-1", min_length=1, description="The region of that cloud.")
    deletion_protection: bool = runtime(default=False, description="Protect a new index from being deleted.")
    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    store_text: bool = identity(default=False, description="Keep the chunks' text in Pinecone too, as far as 40 KB hold it.")
    timeout: float = runtime(default=30.0, gt=0, le=3_600, description="Seconds that Pinecone may take to answer a request.")
    wait: float = runtime(
        default=120.0, gt=0, le=3_600, description="Seconds to wait for a new index, and for written chunks to become visible."
    )

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        host = host.strip()
        address = urlsplit(host if "://" in host else f"https://{host}")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("must be an address such as https://api.pinecone.io or http://localhost:5080")
        if address.username is not None or address.password is not None:
            raise ValueError("must not have a key in it; write it as `api_key`")
        return address.geturl().rstrip("/")


def build(options: PineconeOptions, context: BuildContext) -> PineconeStore:
    """Name the collection; Pinecone is first asked when the store is first used."""
    from ragkit_pinecone.store import PineconeStore

    return PineconeStore.open(context.collection, context.folder, options)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `pinecone`."""
    return [
        Component(
            "pinecone",
            PineconeOptions,
            build,
            summary="Pinecone: serverless indexes in the cloud, a namespace per collection",
            capabilities={
                "processes": "server",
                "metrics": ["cosine", "dot", "l2"],
                "filters": list(OPERATORS),
                "delete": True,
                "upsert": True,
                "vectors": True,
                "incremental": True,
                "stores_text": True,
                "async": True,  # in threads: a query never holds up the event loop
            },
        )
    ]
