"""Work beside other work: order, errors, and an end that is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from ragkit.ingest.ahead import ahead
from ragkit.ingest.following import following


def numbers(most: int, seen: list[int], closed: threading.Event | None = None) -> Generator[int, None, None]:
    try:
        for number in range(most):
            seen.append(number)
            yield number
    finally:
        if closed:
            closed.set()


def test_items_come_in_order() -> None:
    with ahead(numbers(1_000, [])) as items:
        assert list(items) == list(range(1_000))


def test_it_is_made_in_another_thread_and_not_far_ahead() -> None:
    seen: list[int] = []
    threads: set[str] = set()

    def named() -> Generator[int, None, None]:
        for number in numbers(100, seen):
            threads.add(threading.current_thread().name)
            yield number

    with ahead(named(), depth=2) as items:
        for number in items:
            assert len(seen) <= number + 5
    assert threads == {"ragkit-ahead"}


def test_an_error_comes_after_what_was_before_it() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("no more")

    with ahead(failing()) as items:
        assert (next(items), next(items)) == (1, 2)
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_leaving_early_ends_the_thread_and_closes_the_items() -> None:
    seen: list[int] = []
    closed = threading.Event()
    with ahead(numbers(10**9, seen, closed)) as items:
        next(items)
    assert closed.is_set()
    assert len(seen) < 10
    assert "ragkit-ahead" not in {thread.name for thread in threading.enumerate()}


def test_steps_follow_and_the_last_come_last() -> None:
    done: list[str] = []
    began = threading.Event()

    def step() -> None:
        done.append("step")
        began.set()

    with following([step], [lambda: done.append("last")]) as stored:
        stored()
        assert began.wait(5.0), "beside the block"
        assert "last" not in done
    assert done[-2:] == ["step", "last"]


def test_without_a_call_everything_is_done_at_the_end() -> None:
    done: list[str] = []
    with following([lambda: done.append("step")], [lambda: done.append("last")]):
        pass
    assert done == ["step", "last"]


def test_an_error_of_a_step_ends_the_block() -> None:
    failed = threading.Event()

    def step() -> None:
        try:
            raise OSError("the disk is full")
        finally:
            failed.set()

    def block() -> None:
        with following([step], []) as stored:
            stored()
            failed.wait(5.0)
            deadline = time.monotonic() + 10.0
            while time.monotonic() < deadline:
                stored()
            raise AssertionError("it went on")

    with pytest.raises(OSError, match="the disk is full"):
        block()


def test_a_block_that_fails_leaves_the_last_steps_undone() -> None:
    done: list[str] = []
    with pytest.raises(KeyError), following([], [lambda: done.append("last")]):
        raise KeyError
    assert done == []
    assert "ragkit-views" not in {thread.name for thread in threading.enumerate()}
