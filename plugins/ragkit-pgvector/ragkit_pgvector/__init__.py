"""PostgreSQL with the extension `vector` as a vector store: one table per collection, on a server that many processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, field_validator, model_validator

from ragkit import BuildContext, Component, Options, hookimpl, identity, runtime, secret
from ragkit.filters import OPERATORS

if TYPE_CHECKING:
    from ragkit_pgvector.store import PgvectorStore


class PgvectorOptions(Options):
    """The YAML keys of `vector_store: {use: pgvector, …}`.

    The database is named by `url`, or by `host`, `port`, `database`, `user` and `password`. What is not named is where libpq
    looks for it: `PGHOST` and its like, `~/.pgpass`, the local socket.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # a URL has the password in it

    url: SecretStr | None = secret(
        default=None, description="`postgresql://user:password@host:5432/database?sslmode=require`, instead of the next five."
    )
    host: str | None = runtime(default=None, min_length=1, description="The server's name, address or socket folder.")
    port: int | None = runtime(default=None, ge=1, le=65_535, description="The server's port; 5432 if none is named.")
    database: str | None = runtime(default=None, min_length=1, description="The database.")
    user: str | None = runtime(default=None, min_length=1, description="The role that logs in.")
    password: SecretStr | None = secret(default=None, description="Its password.")
    schema_name: str = runtime(
        default="public",
        min_length=1,
        max_length=63,
        pattern=r"^[^%\x00]+$",
        description="The schema of the tables; made where it is missing.",
    )
    metric: Literal["cosine", "dot", "l2"] = identity(
        default="cosine", description="The similarity: `cosine`, `dot` (inner product) or `l2` (minus the squared distance)."
    )
    index: Literal["hnsw", "none"] = identity(
        default="hnsw", description="`hnsw`, or `none`: every search compares with every vector, exactly."
    )
    m: int = identity(default=16, ge=2, le=100, description="HNSW: how many neighbours each vector keeps.")
    ef_construction: int = identity(
        default=100, ge=4, le=1_000, description="HNSW: how broadly to search while building; at least 2·m."
    )
    ef_search: int = runtime(
        default=200,
        ge=1,
        le=1_000,
        description="HNSW: how broadly to search a query; one that asks for more hits searches as broadly as it asks.",
    )
    store_text: bool = identity(default=False, description="Keep the chunks' text in PostgreSQL too.")
    timeout: float = runtime(
        default=60.0, gt=0, le=86_400, description="Seconds that connecting, and each statement, may take at most."
    )
    pool: int = runtime(default=5, ge=1, le=1_000, description="How many connections a process opens at most.")

    @field_validator("url")
    @classmethod
    def _names_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value().strip()).scheme not in ("postgresql", "postgres"):
            raise ValueError("must begin with postgresql://")
        return url

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        parts = {"host": self.host, "port": self.port, "database": self.database, "user": self.user, "password": self.password}
        named = [name for name, value in parts.items() if value is not None]
        if self.url is not None and named:
            raise ValueError(f"`url` and `{named[0]}` are both set; write it into the URL")
        if self.ef_construction < 2 * self.m:
            raise ValueError(f"`ef_construction` must be at least 2·m, which is {2 * self.m}")
        return self


def build(options: PgvectorOptions, context: BuildContext) -> PgvectorStore:
    """Connect to the database; the collection's table is made when it is first marked or written to."""
    from ragkit_pgvector.store import PgvectorStore

    return PgvectorStore.open(context.collection, options)


@hookimpl
def ragkit_vector_stores() -> list[Component]:
    """Offer `pgvector`."""
    return [
        Component(
            "pgvector",
            PgvectorOptions,
            build,
            summary="PostgreSQL with pgvector: HNSW or exact, filters in SQL, shared by many processes",
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
