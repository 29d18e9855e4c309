"""The embedding cache as a whole: quick layers before the persistent one, and what each was good for."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.errors import StateError
from ragkit.state.embeddings import EmbeddingCache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = Mapping[bytes, NDArray[np.float32]]


class Layer(Protocol):
    """A place where vectors may be found more quickly. What it has lost or cannot give, the next layer is asked for."""

    name: str

    def get(self, model: str, keys: Sequence[bytes]) -> Vectors:
        """The vectors of those of `keys` that it has; it never raises."""

    def put(self, model: str, vectors: Vectors) -> None:
        """Keep vectors, as far as there is room; it never raises."""

    def clear(self) -> None:
        """Forget everything."""

    def statistics(self) -> dict[str, Any]:
        """What it holds."""

    def close(self) -> None:
        """Let go of connections."""


class MemoryLayer:
    """The vectors that were used last, at most so many bytes of them. Threads may share it."""

    name = "memory"

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held: OrderedDict[tuple[str, bytes], NDArray[np.float32]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, model: str, keys: Sequence[bytes]) -> Vectors:
        """See `Layer`."""
        found: dict[bytes, NDArray[np.float32]] = {}
        with self._lock:
            for key in keys:
                vector = self._held.get((model, key))
                if vector is not None:
                    self._held.move_to_end((model, key))
                    found[key] = vector
        return found

    def put(self, model: str, vectors: Vectors) -> None:
        """See `Layer`."""
        with self._lock:
            for key, vector in vectors.items():
                before = self._held.pop((model, key), None)
                self._bytes += vector.nbytes - (before.nbytes if before is not None else 0)
                self._held[model, key] = vector
            while self._bytes > self._most:
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.nbytes

    def clear(self) -> None:
        """See `Layer`."""
        with self._lock:
            self._held.clear()
            self._bytes = 0

    def statistics(self) -> dict[str, Any]:
        """How many vectors there are and what they weigh."""
        return {"entries": len(self._held), "bytes": self._bytes}

    def close(self) -> None:
        """See `Layer`."""
        self.clear()


class LayeredCache:
    """Vectors by model and input: looked for in the quick layers first, then in the persistent one.

    What a lower layer has is put into those above it. `hits` counts, by layer, the vectors that were found there, and `misses`
    those that were nowhere; the sums over all processes are in `statistics`.
    """

    def __init__(self, layers: Sequence[Layer], disk: EmbeddingCache) -> None:
        self._layers = tuple(layers)
        self._disk = disk
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._written: Counter[str] = Counter()

    @property
    def hits(self) -> dict[str, int]:
        """How many vectors each layer gave to this process so far, and under `misses` how many none had."""
        with self._lock:
            return {name: self._counts[name] for name in (*self._names(), "misses")}

    def get(self, model: str, keys: Sequence[bytes], *, counted: bool = True) -> dict[bytes, NDArray[np.float32]]:
        """The vectors, each of shape `(dim,)`, of those of `keys` that are known for `model`. Raises `StateError`.

        What was put there a moment ago to be taken from there is not `counted`.
        """
        found: dict[bytes, NDArray[np.float32]] = {}
        missing = list(keys)
        order: tuple[Layer | EmbeddingCache, ...] = (*self._layers, self._disk)
        for depth, layer in enumerate(order):
            if not missing:
                break
            here = layer.get(model, missing)
            if here:
                for above in self._layers[:depth]:
                    above.put(model, here)
                found.update(here)
                missing = [key for key in missing if key not in here]
            if counted:
                self._count(layer.name, len(here))
        if counted:
            self._count("misses", len(missing))
        return found

    def lacking(self, model: str, keys: Sequence[bytes]) -> list[bytes]:
        """Those of `keys` that no layer has; what the disk alone lacks is written there. Raises `StateError`."""
        missing = self._disk.lacking(model, keys)
        elsewhere: dict[bytes, NDArray[np.float32]] = {}
        for layer in self._layers if missing else ():
            elsewhere.update(layer.get(model, [key for key in missing if key not in elsewhere]))
        self._disk.put(model, elsewhere)
        return [key for key in missing if key not in elsewhere]

    def put(self, model: str, vectors: Vectors, *, queries: bool = False) -> None:
        """Keep vectors, of questions or of chunks. Raises `StateError` where they cannot be made durable."""
        self._disk.put(model, vectors, queries=queries)
        for layer in self._layers:
            layer.put(model, vectors)

    def prune(self, live_count: int, live: Iterable[Sequence[bytes]]) -> int:
        """Forget what is too much beside the inputs of living chunks, of which there are `live_count`."""
        return self._disk.prune(live) if self._disk.holds_more(live_count) else 0

    def clear(self, live: Iterable[Sequence[bytes]]) -> int:
        """Forget everything but the vectors of the inputs in the batches of `live`, on disk; returns how many went there."""
        gone = self._disk.prune(live, most=0)
        for layer in self._layers:
            layer.clear()
        self._disk.forget_counts()
        with self._lock:
            self._counts.clear()
            self._written.clear()
        return gone

    def statistics(self) -> dict[str, Any]:
        """How many vectors are on disk and what they weigh there, and of each layer what it holds and how often it helped."""
        self._write_counts()
        counts = self._disk.counts()
        told = [{"name": layer.name, **layer.statistics(), "hits": counts.get(layer.name, 0)} for layer in self._layers]
        disk = self._disk.statistics()
        layers = [*told, {"name": self._disk.name, **disk, "hits": counts.get(self._disk.name, 0)}]
        return {**disk, "layers": layers, "misses": counts.get("misses", 0)}

    def close(self) -> None:
        """Write down what was counted, and close every connection."""
        with suppress(StateError):
            self._write_counts()
        for layer in self._layers:
            layer.close()
        self._disk.close()

    def _names(self) -> list[str]:
        return [*(layer.name for layer in self._layers), self._disk.name]

    def _count(self, name: str, number: int) -> None:
        if number:
            with self._lock:
                self._counts[name] += number

    def _write_counts(self) -> None:
        with self._lock:
            fresh = self._counts - self._written
            self._written = Counter(self._counts)
        self._disk.count(fresh)
