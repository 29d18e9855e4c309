"""The project that an API key opens: its indexes, and what Pinecone's errors mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pinecone import Pinecone, RetryConfig
from pinecone._internal.constants import DATA_PLANE_API_VERSION
from pinecone._internal.http_client import HTTPClient
from pinecone.errors import exceptions as errors

from ragkit.errors import ComponentError
from ragkit.stores import Fault, http_fault, insist, unreachable

if TYPE_CHECKING:
    from pinecone.index import Index
    from pinecone.models.indexes.index import IndexModel

    from ragkit_pinecone import PineconeOptions

T = TypeVar("T")

METRICS = {"cosine": "cosine", "dot": "dotproduct", "l2": "euclidean"}
"""Pinecone's names of the metrics."""

_PATIENCE_S = 10.0
"""How long a request that fails is repeated, if `timeout` is not shorter: a question should not wait longer for its answer."""
_LAST_LOOK_S = 2.0
_NO_RETRIES = RetryConfig(max_retries=0)  # `insist` repeats: the SDK would wait for minutes


class Service:
    """Calls to one project, each bounded in time; what fails is a `ComponentError` that names the address and the cure."""

    def __init__(self, options: PineconeOptions, key: str) -> None:
        self.options = options
        self._key = key
        self._pinecone = Pinecone(
            api_key=key, host=options.host, timeout=options.timeout, retry_config=_NO_RETRIES, source_tag="ragkit"
        )

    def call(self, call: Callable[[], T], address: str | None = None) -> T:
        """Call, again while that may help. Only for calls that may be repeated."""
        patience = min(_PATIENCE_S, self.options.timeout)
        return insist(call, lambda error: self._judge(error, address or self.options.host), patience_s=patience)

    def close(self) -> None:
        self._pinecone.close()

    # Indexes

    def indexes(self) -> list[IndexModel]:
        """The indexes that are ready."""
        return [index for index in self.call(self._pinecone.indexes.list) if index.status.ready]

    def describe(self, name: str) -> IndexModel | None:
        """What Pinecone says of an index, or None where there is none."""

        def look() -> IndexModel | None:
            try:
                return self._pinecone.indexes.describe(name)
            except errors.NotFoundError:
                return None

        return self.call(look)

    def ready(self, name: str, dimension: int | None = None) -> IndexModel | None:
        """The index once it is ready, waiting for one that is being made. One that is missing is made for vectors of
        `dimension` numbers; without a dimension it is None."""
        state = "being made"
        for _ in polling(self.options.wait):
            model = self.describe(name)
            if model is None and dimension is None:
                return None
            if model is None:
                self._create(name, dimension or 0)
                continue
            if model.status.ready:
                return self._suitable(model)
            state = model.status.state
            if state in ("InitializationFailed", "Disabled") or (state == "Terminating" and dimension is None):
                break
        raise ComponentError(
            f"pinecone at {self.options.host}: the index {name} is not ready (it is {state})",
            component="pinecone",
            cure="run again in a while, raise `wait`, or look at the index in Pinecone's console",
        )

    def host_of(self, model: IndexModel) -> str:
        """The address of an index. Where the control plane is plain HTTP, a local server, so are its indexes."""
        plain = self.options.host.startswith("http://")
        return str(model.host).replace("https://", "http://", 1) if plain else str(model.host)

    def open(self, model: IndexModel) -> Index:
        """A client for the data of an index."""
        index: Any = self._pinecone.index(host=self.host_of(model))
        # The SDK gives an index its own retries, of minutes, whatever its client was told.
        index._http.close()
        index._http = HTTPClient(replace(index._config, retry_config=_NO_RETRIES), DATA_PLANE_API_VERSION)
        opened: Index = index
        return opened

    # How

    def _create(self, name: str, dimension: int) -> None:
        options = self.options

        def create() -> None:
            with suppress(errors.ConflictError):  # another process was first
                self._pinecone.indexes.create(
                    name=name,
                    dimension=dimension,
                    metric=METRICS[options.metric],
                    spec={"serverless": {"cloud": options.cloud, "region": options.region}},
                    deletion_protection="enabled" if options.deletion_protection else "disabled",
                    tags={"made-by": "ragkit"},
                    timeout=-1,
                )

        try:
            self.call(create)
        except ComponentError as error:
            cures = {
                404: "set `cloud` and `region` to a pair that Pinecone has",
                403: "check what the key may do and how many indexes the plan allows, or name one that is there as `index`",
            }
            cure = cures.get(getattr(error.__cause__, "status_code", 0))
            if cure is None:
                raise
            raise ComponentError(
                f"pinecone at {options.host} does not make the index {name} ({options.cloud}, {options.region}): "
                f"{self._masked(error.__cause__)}",
                component="pinecone",
                cure=cure,
            ) from error

    def _suitable(self, model: IndexModel) -> IndexModel:
        if model.metric != METRICS[self.options.metric] or model.vector_type != "dense":
            raise ComponentError(
                f"pinecone at {self.options.host}: the index {model.name} is {model.vector_type} with the metric {model.metric}, "
                f"not dense with {METRICS[self.options.metric]}",
                component="pinecone",
                cure="name another `index`, leave it out, or set `metric`",
            )
        return model

    def _judge(self, error: Exception, address: str) -> Fault | None:
        if isinstance(error, errors.ApiError):
            headers = {key.lower(): value for key, value in (error.headers or {}).items()}
            return http_fault("pinecone", address, error.status_code, self._masked(error), headers.get("retry-after"))
        if isinstance(error, errors.PineconeConnectionError | errors.PineconeTimeoutError):
            return unreachable("pinecone", address, self._masked(error))
        if isinstance(error, errors.PineconeError):
            told = ComponentError(
                f"pinecone at {address}: {self._masked(error)}",
                component="pinecone",
                cure="check that `host` is Pinecone's and that the versions of this plugin and the `pinecone` package suit it",
            )
            return Fault(told)
        return None

    def _masked(self, error: object) -> str:
        told = error.message if isinstance(error, errors.PineconeError) else str(error)
        return told.replace(self._key, "***")


def polling(seconds: float, first_s: float = 0.02) -> Iterator[float]:
    """Look at once, then again and again after growing pauses, the last when `seconds` are over. Gives the time passed."""
    start = time.monotonic()
    pause = first_s
    while (passed := time.monotonic() - start) < seconds:
        yield passed
        time.sleep(max(0.0, min(pause, start + seconds - time.monotonic())))
        pause = min(1.5 * pause, _LAST_LOOK_S)
    yield time.monotonic() - start
