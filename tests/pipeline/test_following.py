"""The follower: it goes on whatever happens, says so once, and ends when it is told to."""

from __future__ import annotations

import threading

import pytest

from ragkit.errors import StateError
from ragkit.pipeline import following
from ragkit.pipeline.following import Follower


@pytest.mark.parametrize("error", [StateError("the database is away"), ValueError("a store's own")])
def test_it_outlives_errors_and_tells_each_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "_LOOK_S", 0.001)
    tries: list[int] = []
    enough = threading.Event()

    def step() -> bool:
        tries.append(1)
        if len(tries) < 4:
            raise error
        enough.set()
        return False

    follower = Follower(step)
    assert enough.wait(10)
    follower.close()
    done = len(tries)
    told = [record for record in caplog.records if "does not follow for now" in record.message]
    assert len(told) == 1
    assert bool(told[0].exc_info) is not isinstance(error, StateError)
    assert not follower._thread.is_alive()
    assert len(tries) == done
