"""Where a Chroma is: in a folder of this process, or on a server; and how it is asked there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import chromadb
import httpx
from chromadb.api.fastapi import FastAPI
from chromadb.api.models.Collection import Collection
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT, Settings, System
from chromadb.errors import NotFoundError

from ragkit.errors import ComponentError
from ragkit.stores import Fault, insist
from ragkit_chroma.faults import judge, local_error, refuse
from ragkit_chroma.leftovers import remove_orphans

if TYPE_CHECKING:
    from ragkit_chroma import ChromaOptions

T = TypeVar("T")

CLOUD = "api.trychroma.com"


@dataclass(frozen=True)
class Limits:
    """What one request may hold; None is no limit.

    `records` of a write or of a read by id, `hits` of a search, `weight` in bytes of a write, `predicates` of a filter.
    """

    records: int
    hits: int | None = None
    weight: int | None = None
    predicates: int | None = None


_CLOUD_RECORDS, _CLOUD_PREDICATES = 300, 8  # docs.trychroma.com/cloud/quotas-limits
_SERVER_WEIGHT = 16 * 2**20  # a server takes 40 MiB (`max_payload_size_bytes`)
_SERVER_RECORDS = 1_000  # where it does not say


class Place(ABC):
    """A Chroma. Errors call it `address`; `limits` is what a request may hold, `shared` whether others keep collections there."""

    address: str
    limits: Limits
    shared: bool

    @abstractmethod
    def open(self, name: str, configuration: Mapping[str, Any]) -> Collection:
        """The collection `name`; made with this configuration where there is none."""

    @abstractmethod
    def find(self, name: str) -> Collection:
        """The collection that has this name now."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the collection of that name with everything in it; none of that name is no error."""

    @abstractmethod
    def do(self, call: Callable[[], T]) -> T:
        """Call Chroma, by a call that may be repeated. Raises `ComponentError` for what goes wrong."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""


class Folder(Place):
    """A Chroma in this process, which keeps a folder. Every call that returns has been written to its log and survives a kill."""

    shared = False

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._path = path
        try:
            self._client: Any = chromadb.PersistentClient(path=str(path), settings=_settings())
            self.limits = Limits(records=self._client.get_max_batch_size())
        except Exception as error:
            told = local_error(error, self.address)
            if told is None and not isinstance(error, OSError):
                raise
            raise ComponentError(
                f"Chroma cannot open its folder {path}: {error}",
                component="chroma",
                cure="check that the folder is writable and was written by this version of Chroma",
            ) from error

    def open(self, name: str, configuration: Mapping[str, Any]) -> Collection:
        made = {"hnsw": dict(configuration)}
        found: Collection = self.do(
            partial(self._client.get_or_create_collection, name, embedding_function=None, configuration=made)
        )
        return found

    def find(self, name: str) -> Collection:
        found: Collection = self.do(partial(self._client.get_collection, name, embedding_function=None))
        return found

    def remove(self, name: str) -> None:
        def call() -> None:
            try:
                self._client.delete_collection(name)
            except NotFoundError:
                return

        self.do(call)
        remove_orphans(self._path)

    def do(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            told = local_error(error, self.address)
            if told is None:
                raise
            raise told from error

    def close(self) -> None:
        self._client.close()


class Server(Place):
    """A Chroma server, or Chroma Cloud, asked over HTTP by Chroma's client for it.

    Chroma's own way to make that client (`chromadb.HttpClient`) sends requests before it can be given a timeout, and waits for
    ever; so its parts are put together here. Requests that fail and may succeed later are repeated for as long as the timeout.
    """

    shared = True

    def __init__(self, host: str, port: int, *, ssl: bool, headers: Mapping[str, str], timeout_s: float) -> None:
        named = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if ssl else 'http'}://{named}:{port}"
        self._timeout_s = timeout_s
        settings = _settings()
        settings.chroma_api_impl = "chromadb.api.fastapi.FastAPI"
        settings.chroma_server_host = named
        settings.chroma_server_http_port = port
        settings.chroma_server_ssl_enabled = ssl
        settings.chroma_server_headers = dict(headers)
        self._api = System(settings).instance(FastAPI)
        self._http: httpx.Client = self._api._session
        self._http.timeout = httpx.Timeout(timeout_s)
        self._http.event_hooks = {"response": [refuse]}
        self._scope: dict[str, Any] = {"tenant": DEFAULT_TENANT, "database": DEFAULT_DATABASE}
        self.limits = Limits(records=_SERVER_RECORDS, weight=_SERVER_WEIGHT)

    @classmethod
    def of(cls, options: ChromaOptions) -> Self:
        """The server that the options name, or Chroma Cloud. Raises `ComponentError` where it does not answer."""
        headers = {name: value.get_secret_value() for name, value in (options.headers or {}).items()}
        if options.api_key is not None:
            headers["X-Chroma-Token"] = options.api_key.get_secret_value()
        ssl = options.ssl or options.host is None
        port = options.port or (443 if ssl else 8000)
        place = cls(options.host or CLOUD, port, ssl=ssl, headers=headers, timeout_s=options.timeout)
        try:
            place._enter(options.tenant, options.database, cloud=options.api_key is not None)
        except BaseException:
            place.close()
            raise
        return place

    def _enter(self, tenant: str | None, database: str | None, *, cloud: bool) -> None:
        """Learn what the server takes, and with a key, which tenant and database it opens."""
        records = self._first(self._api.get_max_batch_size)
        self.limits = replace(self.limits, records=records if records > 0 else _SERVER_RECORDS)
        if cloud:
            self.limits = Limits(min(_CLOUD_RECORDS, self.limits.records), _CLOUD_RECORDS, _SERVER_WEIGHT, _CLOUD_PREDICATES)
            if not (tenant and database):
                known = self._first(self._api.get_user_identity)
                tenant = tenant or (known.tenant if known.tenant != "*" else None)
                database = database or _only(known.databases)
            if not (tenant and database):
                raise ComponentError(
                    f"the key opens more than one tenant or database of Chroma at {self.address}",
                    component="chroma",
                    cure="name `tenant` and `database` in `vector_store`",
                )
        self._scope = {"tenant": tenant or DEFAULT_TENANT, "database": database or DEFAULT_DATABASE}

    def open(self, name: str, configuration: Mapping[str, Any]) -> Collection:
        made: Any = {"hnsw": dict(configuration)}
        model = self._first(partial(self._api.get_or_create_collection, name, configuration=made, **self._scope))
        return Collection(client=self._api, model=model, embedding_function=None)

    def find(self, name: str) -> Collection:
        model = self.do(partial(self._api.get_collection, name, **self._scope))
        return Collection(client=self._api, model=model, embedding_function=None)

    def remove(self, name: str) -> None:
        def call() -> None:
            try:
                self._api.delete_collection(name, **self._scope)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise

        self.do(call)

    def do(self, call: Callable[[], T]) -> T:
        return insist(call, self._judge, patience_s=self._timeout_s)

    def close(self) -> None:
        self._http.close()

    def _first(self, call: Callable[[], T]) -> T:
        """As `do`, for requests by which the server is met: one that cannot be reached then is not waited for."""

        def judged(error: Exception) -> Fault | None:
            fault = self._judge(error)
            return replace(fault, again=False) if fault is not None and isinstance(error, httpx.TransportError) else fault

        return insist(call, judged, patience_s=self._timeout_s)

    def _judge(self, error: Exception) -> Fault | None:
        return judge(error, self.address, self._timeout_s)


def _settings() -> Settings:
    return Settings(anonymized_telemetry=False)


def _only(names: list[str] | None) -> str | None:
    """The one name that is listed."""
    distinct = set(names or ())
    return distinct.pop() if len(distinct) == 1 and "*" not in distinct else None
