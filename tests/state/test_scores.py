"""The score cache: what comes back, what makes room, what is counted, and that it never stands in the way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ragkit.errors import StateError
from ragkit.state import scores as module
from ragkit.state.scores import ScoreCache
from ragkit.state.sqlite import SqliteStorage

if TYPE_CHECKING:
    from storages import Opener

pytest_plugins = ["storages"]

DAY = 86_400


@pytest.fixture
def cache(storage: Opener) -> Iterator[ScoreCache]:
    made = ScoreCache(storage(), 1_000)
    yield made
    made.close()


def rows(storage: Opener) -> int:
    """How many scores there are, looked at from beside the cache."""
    beside = storage()
    engine = beside.open("scores", durable=False)
    with engine.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM scores").scalar()
    beside.close(engine)
    return int(count)


def test_a_score_belongs_to_a_model_a_question_and_a_text(cache: ScoreCache) -> None:
    cache.put("model", "question", {"a": 0.1 + 0.2, "b": -1e300, "": 0.0, "\ud800": 2.5})
    assert cache.get("model", "question", ["b", "a", "c", "a", "", "\ud800"]) == [-1e300, 0.1 + 0.2, None, 0.1 + 0.2, 0.0, 2.5]
    assert cache.get("other", "question", ["a"]) == cache.get("model", "questiona", [""]) == [None]
    assert cache.get("model", "question", []) == []
    cache.put("model", "question", {"a": 7.0})
    cache.put("model", "question", {})
    assert cache.get("model", "question", ["a", "b"]) == [7.0, -1e300]


def test_more_texts_than_sqlite_takes_at_once(storage: Opener) -> None:
    cache = ScoreCache(storage(), 100_000)
    many = {f"text {number}": float(number) for number in range(40_000)}
    cache.put("model", "question", many)
    assert cache.get("model", "question", list(many)) == list(many.values())
    cache.close()


def test_there_are_never_more_than_the_bound(cache: ScoreCache, storage: Opener) -> None:
    for question in range(60):
        cache.put("model", f"question {question}", {f"text {number}": 0.5 for number in range(37)})
        assert rows(storage) <= 1_000
    assert rows(storage) >= 900
    cache.put("model", "all at once", {f"text {number}": 0.5 for number in range(5_000)})
    assert rows(storage) == 900


def test_the_bound_holds_for_what_another_process_left(storage: Opener) -> None:
    large = ScoreCache(storage(), 10_000)
    large.put("model", "question", {f"text {number}": 0.5 for number in range(5_000)})
    large.close()
    small = ScoreCache(storage(), 100)
    small.put("model", "question", {"one more": 0.5})
    assert rows(storage) == 90
    small.close()


def test_what_was_not_used_for_longest_makes_room(cache: ScoreCache, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(10):
        monkeypatch.setattr(module, "_today", lambda day=day: day * DAY)
        cache.put("model", f"day {day}", {f"text {number}": float(day) for number in range(100)})
    monkeypatch.setattr(module, "_today", lambda: 10 * DAY)
    old = ["text 1", "text 2", "text 3"]
    assert cache.get("model", "day 0", old) == [0.0] * 3
    cache.put("model", "new", {"text": 1.0})
    assert cache.get("model", "day 0", [*old, "text 4", "text 99"]) == [0.0, 0.0, 0.0, None, None]
    assert cache.get("model", "day 1", ["text 0"]) != cache.get("model", "day 2", ["text 0"]) == [2.0]
    assert cache.get("model", "new", ["text"]) == [1.0]


def test_a_bound_of_zero_keeps_nothing_and_makes_no_file(tmp_path: Path) -> None:
    cache = ScoreCache(SqliteStorage(tmp_path), 0)
    cache.put("model", "question", {"a": 1.0})
    assert not (tmp_path / "scores.db").exists()
    assert cache.get("model", "question", ["a"]) == [None]
    cache.close()


def test_what_was_asked_is_counted_beyond_a_close(storage: Opener) -> None:
    cache = ScoreCache(storage(), 1_000)
    assert cache.statistics() == {"entries": 0, "most": 1_000, "bytes": 0, "hits": 0, "misses": 0}
    for _ in range(3):
        cache.put("model", "question", {"a": 1.0, "b": 2.0})
        cache.get("model", "question", ["a", "b", "b", "c"])
        told = cache.statistics()
        cache.close()
        cache = ScoreCache(storage(), 1_000)
        assert {**cache.statistics(), "bytes": told["bytes"]} == told
    assert (told["entries"], told["hits"], told["misses"]) == (2, 9, 3)
    assert told["bytes"] > 0
    cache.get("model", "question", ["a"])  # it opens again after a close
    cache.close()
    cache.close()
    assert cache.statistics()["hits"] == 10
    assert cache.clear() == 2
    assert cache.get("model", "question", ["a"]) == [None]
    assert (cache.statistics()["entries"], cache.statistics()["hits"]) == (0, 0)
    cache.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1_000)


def folder(path: Path) -> None:
    path.mkdir()


def other_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE scores (something)")
    connection.close()


@pytest.mark.parametrize("broken", [garbage, folder, other_tables])
def test_a_database_that_cannot_be_read_knows_and_keeps_nothing(broken: object, tmp_path: Path) -> None:
    broken(tmp_path / "scores.db")  # type: ignore[operator]
    cache = ScoreCache(SqliteStorage(tmp_path), 1_000)
    for _ in range(2):
        cache.put("model", "question", {"a": 1.0})
        assert cache.get("model", "question", ["a", "b"]) == [None, None]
    assert cache.statistics()["misses"] == 4
    cache.close()


def test_a_folder_that_is_gone_knows_and_keeps_nothing(tmp_path: Path) -> None:
    cache = ScoreCache(SqliteStorage(tmp_path / "gone"), 1_000)
    cache.put("model", "question", {"a": 1.0})
    assert cache.get("model", "question", ["a"]) == [None]
    cache.close()


def test_a_database_that_breaks_while_it_is_open(tmp_path: Path) -> None:
    cache = ScoreCache(SqliteStorage(tmp_path), 1_000)
    cache.put("model", "question", {f"text {number}": 0.5 for number in range(900)})
    with (tmp_path / "scores.db").open("r+b") as file:
        file.truncate(4096)
    (tmp_path / "scores.db-wal").write_bytes(b"\xff" * 8192)
    for number in range(5):
        cache.put("model", "question", {f"text {number}": 1.0})
        assert cache.get("model", "question", [f"text {number}"])[0] in {None, 0.5, 1.0}
    cache.close()


def test_a_score_that_is_no_number_is_no_score(cache: ScoreCache) -> None:
    cache.put("model", "question", {"a": 1.0})
    cache.put("model", "question", {"a": float("nan"), "b": float("inf"), "c": 3.0})
    assert cache.get("model", "question", ["a", "b", "c"]) == [1.0, None, 3.0]


def test_threads_share_a_cache(cache: ScoreCache, storage: Opener) -> None:
    def work(thread: int) -> bool:
        found = []
        for turn in range(20):
            cache.put("model", f"question {turn % 4}", {f"text {thread}": float(thread)})
            found.append(cache.get("model", f"question {turn % 4}", [f"text {thread}"]) == [float(thread)])
        return all(found)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))
    assert rows(storage) == 64
    assert cache.statistics()["hits"] == 320


def test_processes_share_a_cache(tmp_path: Path) -> None:
    script = f"""
        import sys
        from pathlib import Path
        from ragkit.state.scores import ScoreCache
        from ragkit.state.sqlite import SqliteStorage
        cache = ScoreCache(SqliteStorage(Path({str(tmp_path)!r})), 1_000)
        for turn in range(60):
            cache.put("model", sys.argv[1], {{f"{{turn}} {{number}}": float(turn) for number in range(5)}})
            assert cache.get("model", sys.argv[1], [f"{{turn}} 0"]) == [float(turn)]
        cache.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    running = [subprocess.Popen([*command, f"process {number}"], stderr=subprocess.PIPE) for number in range(2)]
    assert [process.communicate(timeout=60)[1] for process in running] == [b"", b""]
    assert rows(lambda: SqliteStorage(tmp_path)) == 600
    cache = ScoreCache(SqliteStorage(tmp_path), 1_000)
    assert (cache.statistics()["entries"], cache.statistics()["hits"]) == (600, 120)
    cache.close()


def test_clearing_a_broken_cache_says_so(tmp_path: Path) -> None:
    garbage(tmp_path / "scores.db")
    cache = ScoreCache(SqliteStorage(tmp_path), 1_000)
    with pytest.raises(StateError, match=r"scores\.db cannot be used: file is not a database"):
        cache.clear()
    cache.close()
