"""The store on disk: files that only grow, and a manifest that says how much of them counts.

folder/MANIFEST            which epoch is in use, and how far its files are written; replaced by one atomic rename
folder/LOCK                held by the process that writes; its content names the holder
folder/epoch-5f0c/vectors     a page for FAISS's header, then a row of float32 for every chunk ever written in this epoch
folder/epoch-5f0c/ids         a JSON string per row and line
folder/epoch-5f0c/records     document and metadata as JSON, one row per line
folder/epoch-5f0c/dead        the numbers (int64) of rows that were deleted or replaced
folder/epoch-5f0c/graph-17    the HNSW graph over the first rows, without their vectors

What lies beyond the manifest's lengths was left by a writer that died; the next one writes over it. A writer removes files
that no manifest names any more; readers that have them open or mapped are not disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ragkit.errors import ComponentError
from ragkit.stores import sync_folder, write_lock

FORMAT = 1
HEADER = 4096
"""Where the first vector begins: the page before it is free, so that a mapping of the file can be made an index of FAISS."""
ROW_NUMBER = 8
"""Bytes of a row number in `dead`."""

_MANIFEST = "MANIFEST"
_LOCK = "LOCK"
_EPOCH = "epoch-"
_GRAPH = "graph-"


@dataclass(frozen=True)
class Manifest:
    """What is in use. Within an epoch all numbers only grow; another epoch begins with fresh files.

    `ids` and `records` are lengths in bytes, `dead` counts row numbers; the graph `graph` covers the first `graph_rows` rows.
    """

    settings: Mapping[str, Any]
    version: int = 0
    epoch: str = ""
    dim: int = 0
    rows: int = 0
    ids: int = 0
    records: int = 0
    dead: int = 0
    graph: str | None = None
    graph_rows: int = 0
    format: int = field(default=FORMAT)

    def begun_anew(self) -> Manifest:
        """An empty epoch after this one."""
        return Manifest(self.settings, version=self.version, epoch=uuid4().hex)

    def place(self, folder: Path) -> Path:
        """Where the epoch's files lie."""
        return folder / f"{_EPOCH}{self.epoch}"

    def next_graph(self) -> str:
        """A name for a graph that no manifest had yet."""
        return f"{_GRAPH}{self.version + 1}"


def read(folder: Path) -> bytes:
    """The manifest as it is now, empty before the first. Every version differs, so comparing it shows a change."""
    try:
        descriptor = os.open(folder / _MANIFEST, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def parse(folder: Path, raw: bytes, settings: Mapping[str, Any]) -> Manifest:
    """What `raw` says. Raises `ComponentError` where it is damaged, newer than this code, or built with other `settings`."""
    if not raw:
        return Manifest(dict(settings))
    try:
        said = json.loads(raw)
        newer = said["format"] > FORMAT
        found = said["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder, str(error)) from error
    if newer:
        raise ComponentError(f"{folder} was written by a newer ragkit-faiss", component="faiss", cure="update ragkit-faiss")
    if found != dict(settings):
        raise ComponentError(
            f"{folder} was built with {found}, not with {dict(settings)}",
            component="faiss",
            cure="run `ragkit ingest`, which builds a collection of its own for other options",
        )
    try:
        return Manifest(**said)
    except TypeError as error:
        raise damaged(folder, str(error)) from error


def publish(folder: Path, manifest: Manifest) -> Manifest:
    """Take `manifest` into use, durably; what it names has to be durable already. Returns it with its new version."""
    manifest = replace(manifest, version=manifest.version + 1)
    temporary = folder / f"{_MANIFEST}.tmp"
    with temporary.open("wb") as file:
        file.write(json.dumps(asdict(manifest)).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _MANIFEST)
    sync_folder(folder)
    return manifest


def write_at(path: Path, offset: int, parts: Iterable[Any]) -> None:
    """Write `parts` (bytes, or arrays that lie in one piece) one after the other from `offset` on, and make them durable."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.seek(offset)
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Make a file that somebody else wrote durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove the epochs and graphs that `manifest` does not name. Only for the holder of the lock."""
    for path in folder.glob(f"{_EPOCH}*"):
        if path != manifest.place(folder):
            shutil.rmtree(path, ignore_errors=True)
    for path in manifest.place(folder).glob(f"{_GRAPH}*"):
        if path.name != manifest.graph:
            path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove the collection: first the manifest, so that nobody meets a half-removed one."""
    (folder / _MANIFEST).unlink(missing_ok=True)
    (folder / f"{_MANIFEST}.tmp").unlink(missing_ok=True)
    sync_folder(folder)
    for path in folder.glob(f"{_EPOCH}*"):
        shutil.rmtree(path, ignore_errors=True)


def lock(folder: Path, timeout_s: float) -> AbstractContextManager[None]:
    """Be the only writer of `folder` for a `with` block. Raises `ComponentError` naming the holder after `timeout_s`."""
    return write_lock(folder / _LOCK, "faiss", timeout_s)


def damaged(folder: Path, why: str) -> ComponentError:
    """The error for files that are not as they were written."""
    return ComponentError(
        f"the FAISS store in {folder} is damaged: {why}",
        component="faiss",
        cure="run `ragkit views repair`, which builds it anew from the ledger and the embedding cache",
    )
