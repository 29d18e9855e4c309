"""The layers of the embedding cache: hits go upwards, bounds hold, and what dies stands in nobody's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from redis_server import RedisServer, redis_server

from ragkit.errors import ComponentError
from ragkit.state.embeddings import EmbeddingCache
from ragkit.state.hashing import input_key
from ragkit.state.layers import LayeredCache, MemoryLayer
from ragkit.state.redis_layer import RedisLayer
from ragkit.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]

MODEL = "m" * 32


def vector(number: float, dim: int = 4) -> np.ndarray[Any, Any]:
    return np.full(dim, number, dtype=np.float32)


def some(*numbers: int) -> dict[bytes, np.ndarray[Any, Any]]:
    return {input_key(str(number)): vector(number) for number in numbers}


def keys(*numbers: int) -> list[bytes]:
    return list(some(*numbers))


@pytest.fixture
def cache(storage: Opener) -> Iterator[LayeredCache]:
    made = LayeredCache([MemoryLayer(3 * 16)], EmbeddingCache(storage()))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def shared(server: RedisServer, told: list[str]) -> Iterator[RedisLayer]:
    layer = RedisLayer(server.url, ttl_s=100, timeout_s=5.0, tell=told.append)
    layer.clear()
    yield layer
    layer.close()


# memory and disk


def test_what_the_disk_has_is_in_memory_afterwards(storage: Opener) -> None:
    first = LayeredCache([MemoryLayer(1_000)], EmbeddingCache(storage()))
    first.put(MODEL, some(1, 2))
    assert first.hits == {"memory": 0, "disk": 0, "misses": 0}
    first.close()
    second = LayeredCache([MemoryLayer(1_000)], EmbeddingCache(storage()))
    assert set(second.get(MODEL, keys(1, 2, 3))) == set(keys(1, 2))
    assert second.hits == {"memory": 0, "disk": 2, "misses": 1}
    assert {key: found.tolist() for key, found in second.get(MODEL, keys(2)).items()} == {keys(2)[0]: [2.0] * 4}
    assert second.hits == {"memory": 1, "disk": 2, "misses": 1}
    second.close()


def test_memory_keeps_what_was_used_last_within_its_bound(cache: LayeredCache) -> None:
    cache.put(MODEL, some(1, 2, 3))
    cache.get(MODEL, keys(1))
    cache.put(MODEL, some(4))
    before = cache.hits
    assert len(cache.get(MODEL, keys(1, 3, 4))) == 3
    assert cache.hits["memory"] - before["memory"] == 3, "2 was used longest ago, and went"
    assert cache.get(MODEL, keys(2))
    assert cache.hits["disk"] - before["disk"] == 1
    assert cache.statistics()["layers"][0] == {"name": "memory", "entries": 3, "bytes": 48, "hits": 4}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), max_size=60), st.integers(0, 80))
def test_memory_never_weighs_more_than_its_bound(steps: list[tuple[int, int]], most: int) -> None:
    layer = MemoryLayer(most)
    for number, dim in steps:
        layer.put(MODEL, {input_key(str(number)): vector(number, dim)})
        held = layer.statistics()
        assert held["bytes"] <= most
        found = layer.get(MODEL, keys(*range(10)))
        assert (len(found), sum(item.nbytes for item in found.values())) == (held["entries"], held["bytes"])


def test_models_are_kept_apart(cache: LayeredCache) -> None:
    cache.put(MODEL, some(1))
    assert cache.get("n" * 32, keys(1)) == {}


def test_threads_share_it(cache: LayeredCache) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 30, 200).tolist():
            cache.put(MODEL, some(number))
            found = cache.get(MODEL, keys(number))
            if [item.tolist() for item in found.values()] != [[float(number)] * 4]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.statistics()["entries"] == 30


def test_hits_are_counted_over_processes(storage: Opener) -> None:
    for _ in range(3):
        cache = LayeredCache([], EmbeddingCache(storage()))
        cache.put(MODEL, some(1))
        cache.get(MODEL, keys(1, 2))
        cache.close()
    told = EmbeddingCache(storage()).counts()
    assert told == {"disk": 3, "misses": 3}


# the bound on disk


def test_orphans_go_and_living_ones_stay(storage: Opener) -> None:
    cache = LayeredCache([], EmbeddingCache(storage(), most=10))
    cache.put(MODEL, some(*range(40)))
    live = [keys(*range(10)), keys(*range(5, 20))]
    assert cache.prune(20, live) == 11, "of 20 orphans, 9 stay: a tenth more goes than has to"
    assert set(cache.get(MODEL, keys(*range(20)))) == set(keys(*range(20)))
    assert cache.prune(20, live) == 0
    assert cache.statistics()["entries"] == 29
    cache.close()


def test_what_was_used_lately_stays(storage: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    import ragkit.state.embeddings as module

    cache = EmbeddingCache(storage(), most=5)
    monkeypatch.setattr(module, "_today", lambda: 86_400 * 10)
    cache.put(MODEL, some(*range(8)))
    monkeypatch.setattr(module, "_today", lambda: 86_400 * 11)
    cache.get(MODEL, keys(0, 1))
    assert cache.prune([]) == 4
    assert set(keys(0, 1)) <= set(cache.get(MODEL, keys(*range(8))))
    cache.close()


def test_questions_are_bounded_without_an_ingest(storage: Opener) -> None:
    cache = EmbeddingCache(storage(), most=50)
    cache.put(MODEL, some(*range(1_000, 1_010)))
    for number in range(300):
        cache.put(MODEL, some(number), queries=True)
        assert cache.statistics()["entries"] <= 10 + 50 + 1
    assert len(cache.get(MODEL, keys(*range(1_000, 1_010)))) == 10, "they are chunks"
    assert cache.get(MODEL, keys(299))
    cache.close()


def test_nothing_is_kept_of_questions_where_nothing_may_be(storage: Opener) -> None:
    cache = EmbeddingCache(storage(), most=0)
    cache.put(MODEL, some(1), queries=True)
    assert cache.get(MODEL, keys(1)) == {}
    cache.close()


def test_clearing_spares_the_living(storage: Opener) -> None:
    cache = LayeredCache([MemoryLayer(1_000)], EmbeddingCache(storage()))
    cache.put(MODEL, some(1, 2, 3))
    cache.get(MODEL, keys(9))
    assert cache.clear([keys(2)]) == 2
    assert set(cache.get(MODEL, keys(1, 2, 3))) == set(keys(2))
    assert cache.hits == {"memory": 0, "disk": 1, "misses": 2}, "counted anew"
    assert cache.clear([]) == 1
    cache.close()


def test_a_cache_of_an_older_ragkit_is_used(tmp_path: Path) -> None:
    import sqlite3

    cache = EmbeddingCache(SqliteStorage(tmp_path))
    cache.put(MODEL, some(1))
    cache.close()
    with sqlite3.connect(tmp_path / "embeddings.db") as database:
        database.execute("ALTER TABLE vectors DROP COLUMN query")
        database.execute("ALTER TABLE vectors DROP COLUMN used")
        database.execute("DROP TABLE counters")
    database.close()
    cache = EmbeddingCache(SqliteStorage(tmp_path), most=0)
    assert cache.get(MODEL, keys(1))
    assert cache.prune([keys(1)]) == 0
    cache.close()


# Redis


def test_another_machine_finds_it_in_redis(tmp_path: Path, shared: RedisLayer, server: RedisServer) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    here = LayeredCache([MemoryLayer(1_000), shared], EmbeddingCache(SqliteStorage(tmp_path / "here")))
    here.put(MODEL, some(1, 2))
    other = RedisLayer(server.url, ttl_s=100, timeout_s=5.0, tell=lambda text: None)
    there = LayeredCache([MemoryLayer(1_000), other], EmbeddingCache(SqliteStorage(tmp_path / "there")))
    found = there.get(MODEL, keys(1, 2, 3))
    assert {key: item.tobytes() for key, item in found.items()} == {key: item.tobytes() for key, item in some(1, 2).items()}
    assert there.hits == {"memory": 0, "redis": 2, "disk": 0, "misses": 1}
    there.get(MODEL, keys(1))
    assert there.hits["memory"] == 1
    here.close()
    there.close()


def test_vectors_go_from_redis_after_their_time(shared: RedisLayer, server: RedisServer) -> None:
    shared.put(MODEL, some(1))
    with Redis.from_url(server.url) as client:
        (name,) = client.keys("ragkit:vector:*")
        assert 90 <= client.ttl(name) <= 100
        assert client.get(name) == vector(1).tobytes()


@pytest.mark.parametrize(
    "value", [b"", b"abc", b"\x80\x04}q\x00.", np.array([np.nan, 1], "<f4").tobytes(), np.zeros(4, "<f4").tobytes()]
)
def test_what_others_wrote_there_is_not_trusted(shared: RedisLayer, server: RedisServer, value: bytes) -> None:
    shared.put(MODEL, some(1, 2))
    with Redis.from_url(server.url) as client:
        (name,) = client.keys(f"*{keys(1)[0].hex()}")
        client.set(name, value)
    assert set(shared.get(MODEL, keys(1, 2))) == set(keys(2))


def test_clearing_takes_ragkits_keys_alone(shared: RedisLayer, server: RedisServer) -> None:
    with Redis.from_url(server.url) as client:
        client.set("another:program", "1")
        shared.put(MODEL, some(*range(700)))
        shared.clear()
        assert client.keys("*") == [b"another:program"]
        client.delete("another:program")


def test_a_dead_redis_is_told_once_and_left_alone(tmp_path: Path, told: list[str]) -> None:
    with redis_server(tmp_path / "redis") as running:
        layer = RedisLayer(running.url, ttl_s=100, timeout_s=0.2, tell=told.append)
        cache = LayeredCache([layer], EmbeddingCache(SqliteStorage(tmp_path)))
        cache.put(MODEL, some(1))
        running.process.kill()
        running.process.wait()
        for number in range(200):
            cache.put(MODEL, some(number))
            assert cache.get(MODEL, keys(number))
        assert len(told) == 1
        assert f"127.0.0.1:{running.port}" in told[0]
        assert running.password not in told[0]
        assert cache.statistics()["layers"][0]["answers"] is False
        cache.close()


def test_one_that_takes_connections_and_says_nothing_costs_one_timeout(tmp_path: Path, told: list[str]) -> None:
    import socket
    import time

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        layer = RedisLayer(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", ttl_s=100, timeout_s=0.2, tell=told.append)
        began = time.monotonic()
        for number in range(50):
            layer.put(MODEL, some(number))
            assert layer.get(MODEL, keys(number)) == {}
        assert time.monotonic() - began < 50 * 2 * 0.2 / 4, "not one timeout for each"
        assert len(told) == 1
        layer.close()


def test_a_redis_that_comes_back_is_used_again(tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import ragkit.state.redis_layer as module

    monkeypatch.setattr(module, "_REST_S", 0.0)
    with redis_server(tmp_path / "redis") as running:
        layer = RedisLayer(running.url.replace(running.password, "wrong"), ttl_s=100, timeout_s=1.0, tell=told.append)
        assert layer.get(MODEL, keys(1)) == {}
        with Redis.from_url(running.url) as client:
            client.config_set("requirepass", "wrong")
        layer.put(MODEL, some(1))
        assert layer.get(MODEL, keys(1))
        layer.close()
    assert len(told) == 1


@pytest.mark.parametrize("url", ["", "http://host", "redis", "redis://host:port:secret/0"])
def test_an_address_that_is_none_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ComponentError, match=r"cache\.redis\.url") as caught:
        RedisLayer(url, ttl_s=1, timeout_s=1.0, tell=print)
    assert "secret" not in str(caught.value)
