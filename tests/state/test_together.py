"""Concurrent calls that share a batch."""

from __future__ import annotations

import threading
import time

import pytest

from ragkit.state.together import Together


def at_once(call, items):
    """What each thread got: a result, or its error."""
    found: dict[object, object] = {}

    def run(item):
        try:
            found[item] = call(item)
        except Exception as error:
            found[item] = error

    threads = [threading.Thread(target=run, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    return found


def test_whoever_comes_meanwhile_goes_into_the_next_batch():
    sizes = []

    def work(items):
        sizes.append(len(items))
        deadline = time.monotonic() + 10
        while len(sizes) == 1 and len(together._waiting) < 39 and time.monotonic() < deadline:
            time.sleep(0.001)  # the first one is at work until everybody else has come
        return [item * 2 for item in items]

    together = Together(work, 64)
    found = at_once(together, range(40))
    assert found == {item: item * 2 for item in range(40)}
    assert sizes == [1, 39]


def test_a_batch_has_a_limit():
    sizes = []

    def work(items):
        sizes.append(len(items))
        time.sleep(0.02)
        return list(items)

    assert len(at_once(Together(work, 4), range(21))) == 21
    assert max(sizes) == 4


def test_one_call_alone_waits_for_nobody():
    doubled = Together(lambda items: [item * 2 for item in items], 8)
    began = time.perf_counter()
    assert [doubled(number) for number in range(100)] == [2 * number for number in range(100)]
    assert time.perf_counter() - began < 1


def test_each_call_gets_its_own_error():
    def work(items):
        time.sleep(0.02)
        if 13 in items:
            raise ValueError(f"13 in a batch of {len(items)}")
        return list(items)

    found = at_once(Together(work, 64), range(20))
    assert str(found.pop(13)) == "13 in a batch of 1"
    assert found == {item: item for item in range(20) if item != 13}


def test_too_few_results_are_an_error_and_nobody_waits_for_ever():
    broken = Together(lambda items: [], 8)
    assert all(isinstance(error, ValueError) for error in at_once(broken, range(6)).values())
    with pytest.raises(ValueError, match="shorter"):
        broken(1)
