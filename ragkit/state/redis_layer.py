"""The layer of the embedding cache that several machines share: Redis, or whatever speaks its protocol."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from redis import Redis

    Vectors = Mapping[bytes, NDArray[np.float32]]

_PREFIX = b"ragkit:vector:1:"
_BATCH = 500
_REST_S = 30.0
"""After a failure Redis is left alone for so long: a dead one costs one timeout in that time."""


class RedisLayer:
    """Vectors under `ragkit:vector:1:<model>:<input>` as float32 bytes, each for `ttl_s` seconds. Threads may share it.

    A Redis that fails is reported once through `tell`, and tried again after a while; nobody waits for it longer than
    `timeout_s`. What others wrote is not trusted: what is no vector of finite numbers is as good as not there.
    """

    name = "redis"

    def __init__(self, url: str, *, ttl_s: int, timeout_s: float, tell: Callable[[str], None]) -> None:
        """Raises `ComponentError` for a URL that is none, or without the package `redis`; connects when it is first asked."""
        self._ttl = ttl_s
        self._tell = tell
        self._told = False
        self._rests_until = 0.0
        self._lock = threading.Lock()
        self._client = _client(url, timeout_s)
        place: Mapping[str, Any] = self._client.connection_pool.connection_kwargs
        self._address = str(place.get("path") or f"{place.get('host')}:{place.get('port')}")

    def get(self, model: str, keys: Sequence[bytes]) -> Vectors:
        """See `Layer`."""
        found: dict[bytes, NDArray[np.float32]] = {}

        def ask() -> None:
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                values: Any = self._client.mget([_name(model, key) for key in batch])
                read = {key: _vector(value) for key, value in zip(batch, values, strict=True) if value is not None}
                found.update((key, vector) for key, vector in read.items() if vector is not None)

        self._do(ask)
        return found

    def put(self, model: str, vectors: Vectors) -> None:
        """See `Layer`."""

        def write() -> None:
            items = list(vectors.items())
            for start in range(0, len(items), _BATCH):
                with self._client.pipeline(transaction=False) as pipeline:
                    for key, vector in items[start : start + _BATCH]:
                        pipeline.set(_name(model, key), vector.astype("<f4").tobytes(), ex=self._ttl)
                    pipeline.execute()

        self._do(write)

    def clear(self) -> None:
        """Forget the vectors of ragkit, of all machines."""

        def remove() -> None:
            batch: list[Any] = []
            for name in self._client.scan_iter(match=_PREFIX + b"*", count=1_000):
                batch.append(name)
                if len(batch) == _BATCH:
                    self._client.unlink(*batch)
                    batch = []
            if batch:
                self._client.unlink(*batch)

        self._do(remove)

    def statistics(self) -> dict[str, Any]:
        """Where it is and whether it answers. It does not count: other programs may have keys there."""
        return {"address": self._address, "answers": self._do(self._client.ping)}

    def close(self) -> None:
        """See `Layer`."""
        from redis import RedisError

        with suppress(RedisError, OSError):
            self._client.close()

    def _do(self, call: Callable[[], Any]) -> bool:
        """Whether the call succeeded; while Redis rests after a failure, nothing is tried."""
        from redis import RedisError

        if time.monotonic() < self._rests_until:
            return False
        try:
            call()
        except (RedisError, OSError) as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._rests_until = time.monotonic() + _REST_S
            told, self._told = self._told, True
        if not told:
            reason = " ".join(str(error).split()) or type(error).__name__
            self._tell(f"Redis at {self._address} does not answer, and the embedding cache goes on without it: {reason}")


def _client(url: str, timeout_s: float) -> Redis:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise ComponentError(
            "`cache.redis` needs the package redis", component="redis", cure="pip install 'ragkit[redis]'"
        ) from error
    try:
        return Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0), decode_responses=False
        )
    except ValueError:  # its text may hold the URL with the password
        raise ComponentError(
            "`cache.redis.url` is no address of a Redis",
            component="redis",
            cure="write redis://host:port/0, rediss:// or unix://",
        ) from None


def _name(model: str, key: bytes) -> bytes:
    return _PREFIX + model.encode() + b":" + key.hex().encode()


def _vector(value: bytes) -> NDArray[np.float32] | None:
    """The vector in `value`, or None for what is no usable one."""
    if not value or len(value) % 4:
        return None
    vector = np.frombuffer(value, dtype="<f4")
    return vector if np.isfinite(vector).all() and vector.any() else None
