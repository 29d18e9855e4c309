"""HNSW by FAISS, over vectors that stay in a mapped file."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss as typed_faiss
import numpy as np

from ragkit.stores import sync_folder
from ragkit_faiss import files
from ragkit_faiss.files import HEADER, Manifest

Array = np.ndarray[Any, Any]
faiss: Any = typed_faiss
"""Its stubs know only a part of it."""

_FLOAT = 4


def metric_of(manifest: Manifest) -> int:
    """What FAISS calls the metric; vectors of `cosine` are of length 1, so that it is the inner product."""
    return int(faiss.METRIC_L2 if manifest.settings["metric"] == "l2" else faiss.METRIC_INNER_PRODUCT)


@dataclass(frozen=True)
class Mapped:
    """The file with the vectors in memory, private to this process; pages are read from disk when they are needed."""

    memory: Any
    vectors: Array
    """float32 (rows, dim)"""

    @classmethod
    def open(cls, place: Path, manifest: Manifest, rows: int) -> Mapped:
        """Map the first `rows` vectors."""
        path, length = place / "vectors", HEADER + rows * manifest.dim * _FLOAT
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_size < length:
                raise files.damaged(place.parent, f"{path} is too short")
            memory = mmap.mmap(descriptor, length, access=mmap.ACCESS_COPY)
        finally:
            os.close(descriptor)
        return cls(memory, np.frombuffer(memory, dtype=np.float32, offset=HEADER).reshape(rows, manifest.dim))


@dataclass(frozen=True)
class Graph:
    """A graph over the first `rows` rows; never changed, so that any thread may search it."""

    name: str
    rows: int
    index: Any
    storage: Any
    kept: Any
    """The mapping that `storage` looks into."""

    @classmethod
    def load(cls, place: Path, manifest: Manifest, mapped: Mapped) -> Graph:
        """Map the manifest's graph; its vectors are the first of those in `mapped`."""
        assert manifest.graph is not None
        path = place / manifest.graph
        if not path.exists():
            raise FileNotFoundError(path)  # FAISS has one error for everything
        index = faiss.read_index(str(path), faiss.IO_FLAG_SKIP_STORAGE | faiss.IO_FLAG_MMAP_IFC)
        storage, kept = _storage(manifest, mapped)
        index.storage, index.own_fields = storage, False
        return cls(manifest.graph, manifest.graph_rows, index, storage, kept)

    def search(self, vector: Array, k: int, ef: int, bits: Array | None) -> Array:
        """The numbers of the `k` rows nearest to `vector`, best first, of those whose bit is set; fewer if it finds no more."""
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=ef)
        found: Array = self.index.search(vector[None], k, params=parameters)[1][0]
        return found[found >= 0]


class GraphBuilder:
    """A graph in memory that takes in row after row, begun with what is on disk."""

    def __init__(self, place: Path, manifest: Manifest) -> None:
        self.epoch = manifest.epoch
        if manifest.graph is None:
            self._index = faiss.IndexHNSWFlat(manifest.dim, int(manifest.settings["m"]), metric_of(manifest))
        else:
            self._storage = faiss.IndexFlat(manifest.dim, metric_of(manifest))
            self._storage.add(Mapped.open(place, manifest, manifest.graph_rows).vectors)
            self._index = faiss.read_index(str(place / manifest.graph), faiss.IO_FLAG_SKIP_STORAGE)
            self._index.storage, self._index.own_fields = self._storage, False
        self._index.hnsw.efConstruction = int(manifest.settings["ef_construction"])

    @property
    def rows(self) -> int:
        """How many rows are in."""
        return int(self._index.ntotal)

    def add(self, vectors: Array) -> None:
        """Take in the next rows."""
        self._index.add(vectors)

    def save(self, path: Path) -> None:
        """Write the graph without the vectors, durably."""
        faiss.write_index(self._index, str(path), faiss.IO_FLAG_SKIP_STORAGE)
        files.sync(path)
        sync_folder(path.parent)


def _storage(manifest: Manifest, mapped: Mapped) -> tuple[Any, Any]:
    """The vectors of the graph as FAISS's flat index, without a copy, and what must be kept while it is used.

    FAISS makes an index of a piece of memory that looks like a file of its own: the mapping is private to this process,
    so the page before the vectors can take the header of such a file.
    """
    rows, metric = manifest.graph_rows, metric_of(manifest)
    header = _header(manifest.dim, rows, metric)
    if header is None:
        copied = faiss.IndexFlat(manifest.dim, metric)
        copied.add(mapped.vectors[:rows])
        return copied, None
    mapped.memory[HEADER - len(header) : HEADER] = header
    memory = np.frombuffer(mapped.memory, dtype=np.uint8)[HEADER - len(header) :]
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(memory), memory.size)
    return faiss.read_index(reader), (memory, reader)


def _header(dim: int, rows: int, metric: int) -> bytes | None:
    """How a file with a flat index of so many vectors begins; None where this FAISS writes it otherwise than is known here."""
    one = faiss.IndexFlat(dim, metric)
    one.add(np.zeros((1, dim), dtype=np.float32))
    written: bytes = faiss.serialize_index(one).tobytes()
    begin, count, size = written[:8], written[8:16], written[-_FLOAT * dim - 8 : -_FLOAT * dim]
    if (begin[4:], count, size) != (struct.pack("<i", dim), struct.pack("<q", 1), struct.pack("<q", dim)):
        return None
    middle = written[16 : -_FLOAT * dim - 8]
    return begin + struct.pack("<q", rows) + middle + struct.pack("<q", rows * dim)
