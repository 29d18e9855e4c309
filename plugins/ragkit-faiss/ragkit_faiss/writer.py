"""Writing: rows are appended and the manifest moves; graphs grow and dead rows go in the background of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ragkit.errors import ComponentError
from ragkit.stores import require_dimension, sync_folder
from ragkit_faiss import files
from ragkit_faiss.files import HEADER, ROW_NUMBER, Manifest
from ragkit_faiss.graph import Array, GraphBuilder
from ragkit_faiss.snapshot import Reader, Snapshot

_FLOAT = 4


@dataclass(frozen=True)
class Limits:
    """When what is done.

    A graph is built from `flat` rows on. It takes in the rows that it lacks once these are more than `tail` and more than a
    `share`-th of those it has: until then they are compared one by one. A flush gives it `step` rows at most, or as many as
    it wrote. Dead rows go when they are more than `tail` and more than half of the living.
    """

    flat: int = 20_000
    tail: int = 1_024
    share: int = 16
    step: int = 4_096


@dataclass(frozen=True)
class Row:
    """A chunk that waits to be written."""

    vector: Array
    document: str | None
    metadata: Mapping[str, Any]

    def record(self) -> str:
        """Document and metadata as a line of JSON."""
        return json.dumps([self.document, self.metadata], ensure_ascii=False, default=str)


class Writer:
    """Applies changes to a folder. One at a time, under the folder's lock; any other process may come in between."""

    def __init__(self, folder: Path, reader: Reader, limits: Limits, timeout_s: float) -> None:
        self._folder = folder
        self._reader = reader
        self._limits = limits
        self._timeout_s = timeout_s
        self._builder: GraphBuilder | None = None
        self._wrote = False

    def apply(self, pending: Mapping[str, Row | None]) -> None:
        """Put rows in, in place of those with the same id; take out the ids that come with None. Durable on return."""
        with files.lock(self._folder, self._timeout_s):
            snapshot, held = self._reader.rows(list(pending))
            rows = {id_: row for id_, row in pending.items() if row is not None}
            if not rows and not held:
                return
            for row in rows.values():
                require_dimension("faiss", snapshot.manifest.dim or None, len(row.vector))
            manifest = snapshot.manifest
            dead = sorted(held.values())
            living = snapshot.count - len(dead)
            too_many = manifest.dead + len(dead) > max(self._limits.tail, (living + len(rows)) // 2)
            if not manifest.epoch or too_many or not (living or rows):
                manifest = self._begin(snapshot, dead)
                dead = []
            self._publish(self._append(manifest, rows, dead))
            self._wrote = True
            self._grow(max(self._limits.step, len(rows)), self._limits.share)

    def finish(self) -> None:
        """Let the graph take in all that it lacks, if this writer wrote and nobody else does; then let go of it."""
        wrote, self._wrote = self._wrote, False
        with ExitStack() as held:
            if wrote and files.read(self._folder):
                try:
                    held.enter_context(files.lock(self._folder, 0.0))
                except ComponentError:
                    pass  # somebody else writes, and will see to the graph
                else:
                    self._grow(self._reader.current().manifest.rows)
        self._builder = None

    def drop(self) -> None:
        """Remove everything."""
        with files.lock(self._folder, self._timeout_s):
            files.remove(self._folder)
        self._builder, self._wrote = None, False

    # How

    def _begin(self, snapshot: Snapshot, dead: list[int]) -> Manifest:
        """Begin an epoch with the rows that live on, as yet without a graph."""
        manifest = snapshot.manifest.begun_anew()
        place = manifest.place(self._folder)
        place.mkdir(parents=True)
        rows = np.setdiff1d(snapshot.living(), np.array(dead, dtype=np.int64), assume_unique=True)
        for name in ("vectors", "ids", "records", "dead"):
            files.write_at(place / name, 0, [bytes(HEADER)] if name == "vectors" else [])
        sync_folder(self._folder)
        if not len(rows):
            return manifest
        chosen, step = rows.tolist(), self._limits.step
        lines = (snapshot.manifest.place(self._folder) / "records").read_bytes()[: snapshot.manifest.records].split(b"\n")
        if len(lines) != snapshot.manifest.rows + 1:
            raise files.damaged(self._folder, f"{len(lines) - 1} records instead of {snapshot.manifest.rows}")
        return self._extended(
            replace(manifest, dim=snapshot.manifest.dim),
            len(rows),
            _lines(json.dumps(snapshot.names[row], ensure_ascii=False) for row in chosen),
            b"".join(lines[row] + b"\n" for row in chosen),
            (snapshot.vectors[rows[begin : begin + step]] for begin in range(0, len(rows), step)),
        )

    def _append(self, manifest: Manifest, rows: Mapping[str, Row], dead: list[int]) -> Manifest:
        place = manifest.place(self._folder)
        if dead:
            files.write_at(place / "dead", manifest.dead * ROW_NUMBER, [np.array(dead, dtype=np.int64)])
            manifest = replace(manifest, dead=manifest.dead + len(dead))
        if not rows:
            return manifest
        return self._extended(
            replace(manifest, dim=len(next(iter(rows.values())).vector)),
            len(rows),
            _lines(json.dumps(id_, ensure_ascii=False) for id_ in rows),
            _lines(row.record() for row in rows.values()),
            (row.vector for row in rows.values()),
        )

    def _extended(self, manifest: Manifest, count: int, ids: bytes, records: bytes, vectors: Iterable[Array]) -> Manifest:
        """Append rows to the files of an epoch; the manifest that counts them."""
        place = manifest.place(self._folder)
        files.write_at(place / "vectors", HEADER + manifest.rows * manifest.dim * _FLOAT, vectors)
        files.write_at(place / "ids", manifest.ids, [ids])
        files.write_at(place / "records", manifest.records, [records])
        return replace(
            manifest,
            rows=manifest.rows + count,
            ids=manifest.ids + len(ids),
            records=manifest.records + len(records),
        )

    def _publish(self, manifest: Manifest) -> None:
        files.publish(self._folder, manifest)
        files.sweep(self._folder, manifest)

    def _lacks(self, manifest: Manifest) -> int:
        """How many rows the graph has to take in; 0 where there is to be none."""
        index = manifest.settings["index"]
        wanted = index == "hnsw" or (index == "auto" and manifest.rows > self._limits.flat)
        return manifest.rows - manifest.graph_rows if wanted else 0

    def _grow(self, most: int, share: int | None = None) -> None:
        """Let the graph take in at most `most` rows, if it lacks enough of them, and take it into use when it has all."""
        snapshot = self._reader.current()
        manifest, builder = snapshot.manifest, self._builder
        if builder is None or builder.epoch != manifest.epoch or builder.rows < manifest.graph_rows:
            self._builder = None
            enough = max(self._limits.tail, manifest.graph_rows // share if share else 0)
            if self._lacks(manifest) <= enough:
                return
            builder = self._builder = GraphBuilder(manifest.place(self._folder), manifest)
        builder.add(snapshot.vectors[builder.rows : builder.rows + most])
        if builder.rows == manifest.rows:
            name = manifest.next_graph()
            builder.save(manifest.place(self._folder) / name)
            self._publish(replace(manifest, graph=name, graph_rows=builder.rows))
            self._builder = None


def _lines(values: Iterable[str]) -> bytes:
    return "".join(f"{value}\n" for value in values).encode("utf-8", "surrogatepass")
