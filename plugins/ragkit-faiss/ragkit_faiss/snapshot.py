"""What a reader knows: one whole state of the store, and how the next one is read with only what is new."""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.errors import ComponentError
from ragkit_faiss import files
from ragkit_faiss.columns import Columns
from ragkit_faiss.files import ROW_NUMBER, Manifest
from ragkit_faiss.graph import Array, Graph, Mapped

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

_TRIES = 20


class Epoch:
    """The ids of an epoch and where each lives, read as far as a manifest went. Grows; what was there stays as it was."""

    def __init__(self, place: Path) -> None:
        self.names: list[str] = []
        """The id of every row, dead or alive."""
        self.row_of: dict[str, int] = {}
        """The living row of every id, as of the newest snapshot."""
        self.dead: Array = np.empty(0, dtype=np.int64)
        self._place = place
        # Kept open: a writer may remove the epoch while a query still looks at it.
        records = os.open(place / "records", os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, records)
        self._columns = Columns(lambda begin, end: _piece(records, begin, end))
        self._ids_read = 0

    def catch_up(self, manifest: Manifest) -> None:
        """Read on to where `manifest` says."""
        text = self._read("ids", self._ids_read, manifest.ids).decode("utf-8", "surrogatepass")
        first = len(self.names)
        self.names.extend(json.loads(f"[{text[:-1].replace(chr(10), ',')}]"))
        if len(self.names) != manifest.rows:
            raise ValueError(f"{len(self.names)} ids instead of {manifest.rows}")
        self._ids_read = manifest.ids
        self.row_of.update(zip(self.names[first:], range(first, manifest.rows), strict=True))
        died = np.frombuffer(self._read("dead", len(self.dead) * ROW_NUMBER, manifest.dead * ROW_NUMBER), dtype=np.int64)
        for row in died.tolist():
            if self.row_of.get(self.names[row]) == row:
                del self.row_of[self.names[row]]
        if len(died):
            self.dead = np.concatenate([self.dead, died])

    def passing(self, filters: MetadataFilters | None, documents: Sequence[str] | None, manifest: Manifest) -> Array:
        """Which rows, dead ones included, `filters` let pass and are of one of `documents`."""
        try:
            return self._columns.passing(filters, documents, manifest.records, manifest.rows)
        except ValueError as error:
            raise files.damaged(self._place.parent, str(error)) from error

    def _read(self, name: str, begin: int, end: int) -> bytes:
        if end == begin:
            return b""
        with (self._place / name).open("rb") as file:
            return _piece(file.fileno(), begin, end)


@dataclass(frozen=True)
class Snapshot:
    """One whole state. Rows from `graph.rows` on are in no graph; without `alive` all rows live."""

    raw: bytes
    manifest: Manifest
    epoch: Epoch | None
    vectors: Array
    alive: Array | None
    count: int
    graph: Graph | None

    @property
    def names(self) -> Sequence[str]:
        """The id of every row, and of later ones."""
        return () if self.epoch is None else self.epoch.names

    @cached_property
    def living_bits(self) -> tuple[Array | None, int]:
        """Which rows of the graph live, as bits (None for all), and how many these are."""
        covered = 0 if self.graph is None else self.graph.rows
        return (None, covered) if self.alive is None else bits(self.alive[:covered])

    def living(self) -> Array:
        """The numbers of the living rows."""
        return np.arange(self.manifest.rows) if self.alive is None else np.flatnonzero(self.alive)

    def ids(self) -> list[str]:
        """Every id that is there."""
        return [self.names[row] for row in self.living().tolist()]


def bits(chosen: Array) -> tuple[Array | None, int]:
    """Booleans as FAISS takes them (None where all are true), and how many are true."""
    count = int(np.count_nonzero(chosen))
    return (None if count == len(chosen) else np.packbits(chosen, bitorder="little")), count


def _piece(descriptor: int, begin: int, end: int) -> bytes:
    """The bytes of a file from `begin` to `end`."""
    pieces = []
    while begin < end:
        piece = os.pread(descriptor, end - begin, begin)
        if not piece:
            raise ValueError("a file is too short")
        pieces.append(piece)
        begin += len(piece)
    return b"".join(pieces)


class Reader:
    """Gives the newest snapshot to any thread."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self._loading = threading.Lock()
        self._epoch: Epoch | None = None
        self._newest: Snapshot | None = None

    def current(self) -> Snapshot:
        """The state that the manifest names now."""
        raw = self._manifest()
        newest = self._newest
        if newest is not None and newest.raw == raw:
            return newest
        with self._loading:
            return self._load()

    def rows(self, ids: Sequence[str]) -> tuple[Snapshot, dict[str, int]]:
        """The newest snapshot, and the rows in it of those of `ids` that are there."""
        with self._loading:
            snapshot = self._load()
            row_of = {} if snapshot.epoch is None else snapshot.epoch.row_of
            return snapshot, {id_: row_of[id_] for id_ in ids if id_ in row_of}

    def forget(self) -> None:
        """Let go of files and memory."""
        with self._loading:
            self._newest = self._epoch = None

    def _load(self) -> Snapshot:
        for _ in range(_TRIES):
            raw = self._manifest()
            if self._newest is not None and self._newest.raw == raw:
                return self._newest
            try:
                self._newest = self._read(raw)
            except (FileNotFoundError, ValueError, IndexError, RuntimeError) as error:
                self._epoch = None
                # A writer may have removed what the manifest named: it is then another one.
                if self._manifest() == raw:
                    raise files.damaged(self._folder, str(error)) from error
            except OSError as error:
                self._epoch = None
                raise self._unreadable(error) from error
            else:
                return self._newest
        raise ComponentError(f"the FAISS store in {self._folder} changes faster than it can be read", component="faiss")

    def _manifest(self) -> bytes:
        try:
            return files.read(self._folder)
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> ComponentError:
        return ComponentError(
            f"the FAISS store in {self._folder} cannot be read: {error}",
            component="faiss",
            cure="make the folder readable for this user",
        )

    def _read(self, raw: bytes) -> Snapshot:
        manifest = files.parse(self._folder, raw, self._settings)
        before = None if self._newest is None or self._newest.manifest.epoch != manifest.epoch else self._newest
        if not manifest.rows:
            self._epoch = None
            return Snapshot(raw, manifest, None, np.empty((0, 0), dtype=np.float32), None, 0, None)
        place = manifest.place(self._folder)
        if self._epoch is None or before is None:
            self._epoch = Epoch(place)
        epoch, graph = self._epoch, None if before is None else before.graph
        epoch.catch_up(manifest)
        mapped, alive = Mapped.open(place, manifest, manifest.rows), None
        if manifest.graph != (None if graph is None else graph.name):
            graph = Graph.load(place, manifest, mapped)
        if manifest.dead:
            alive = np.ones(manifest.rows, dtype=np.bool_)
            alive[epoch.dead] = False
        return Snapshot(raw, manifest, epoch, mapped.vectors, alive, len(epoch.row_of), graph)
