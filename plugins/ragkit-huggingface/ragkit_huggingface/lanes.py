"""Many batches on a processor: a thread for each core, rather than all cores for each batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Lanes:
    """Threads in which torch computes with one core each.

    Cores that share a batch wait for each other after every product of matrices; each with its own, they never do.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """What `work` gives for each item, in their order; one item alone is computed here, by all cores together."""
        if self.count < 2 or len(items) < 2:
            return [work(item) for item in items]
        return list(self._opened().map(work, items))

    def _opened(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                cores, started = torch.get_num_threads(), threading.Barrier(self.count + 1)

                def start() -> None:
                    torch.get_num_threads()  # else torch's first work here would set it anew
                    torch.set_num_threads(1)
                    started.wait()

                self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="ragkit-embedding")
                for _ in range(self.count):
                    self._pool.submit(start)
                started.wait()
                torch.set_num_threads(cores)  # it also said what later threads have
            return self._pool
