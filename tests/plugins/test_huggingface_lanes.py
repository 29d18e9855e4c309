"""Threads that compute with one core each: in order, with their errors, and without taking cores from other threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from ragkit_huggingface.lanes import Lanes


def cores() -> int:
    """How many cores torch computes with in this thread."""
    (torch.ones(64, 64) @ torch.ones(64, 64)).sum()
    return torch.get_num_threads()


def cores_elsewhere() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(cores()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def wide() -> Iterator[int]:
    """More than one core, on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_one_core(wide: int) -> None:
    lanes = Lanes(2)
    together = threading.Barrier(2, timeout=30)

    def work(item: int) -> tuple[int, int, str]:
        together.wait()
        return item, cores(), threading.current_thread().name

    made = lanes.map(work, [1, 2, 3, 4])
    assert [item for item, _, _ in made] == [1, 2, 3, 4]
    assert {width for _, width, _ in made} == {1}
    assert len({name for _, _, name in made}) == 2
    assert (cores(), cores_elsewhere()) == (wide, wide)


@pytest.mark.parametrize(("count", "items"), [(1, [1, 2, 3]), (4, [1]), (4, [])])
def test_one_item_or_one_lane_is_computed_here(count: int, items: list[int], wide: int) -> None:
    here = threading.get_ident()
    assert Lanes(count).map(lambda item: (item, threading.get_ident(), cores()), items) == [(item, here, wide) for item in items]


def test_an_error_is_raised_and_the_next_work_is_done() -> None:
    lanes = Lanes(2)
    with pytest.raises(ZeroDivisionError):
        lanes.map(lambda item: 1 // item, [1, 0, 2])
    assert lanes.map(lambda item: 2 * item, [1, 2]) == [2, 4]
