"""The index on disk: written beside the old one, made durable, then taken into use by one atomic rename.

folder/CURRENT      the name of the folder in use, such as `index-7`
folder/index-7/     arrays (`.npy`, mapped into memory when large) and what they were built with, `index.json`
folder/MARK         what the host keeps with the store
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from ragkit.errors import ComponentError
from ragkit_bm25.index import Corpus, Index
from ragkit_bm25.numbers import Array

FORMAT = 1
Stamp = tuple[bytes, int, int]

CURRENT = "CURRENT"
MARK = "MARK"

_PREFIX = "index-"
_MAPPED_FROM = 1 << 20
"""Arrays of this many bytes are mapped; smaller ones are simply read. A mapped file stays readable when it is unlinked."""


@dataclass(frozen=True)
class Records(Sequence[bytes]):
    """Byte strings that lie one after the other in `blob`."""

    blob: Array
    starts: Array

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return bytes(self.blob[self.starts[index] : self.starts[index + 1]])


def current(folder: Path) -> str | None:
    """The name of the index in use, or None before the first."""
    try:
        return (folder / CURRENT).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def stamp(folder: Path) -> Stamp | None:
    """Changes whenever another index is taken into use; None before the first."""
    try:
        with (folder / CURRENT).open("rb") as file:
            status = os.fstat(file.fileno())
            return file.read(), status.st_ino, status.st_mtime_ns
    except FileNotFoundError:
        return None


def read(folder: Path, settings: Mapping[str, Any]) -> Index | None:
    """The index in use, or None where there is none. `settings` are what it must have been built with.

    Raises `ComponentError` where it is damaged or was built otherwise.
    """
    for _ in range(20):
        name = current(folder)
        if name is None:
            return None
        try:
            return _read(folder / name, settings)
        except FileNotFoundError as error:
            # A writer may have moved on between the two reads; the name is then another one.
            if current(folder) == name:
                raise _damaged(folder / name, str(error)) from error
        except (ValueError, EOFError, KeyError) as error:
            raise _damaged(folder / name, str(error)) from error
    raise _damaged(folder, "the index changes faster than it can be read")


def write(folder: Path, index: Index, settings: Mapping[str, Any]) -> None:
    """Make `index` the one in use. Returns once it is durable; a crash on the way leaves the old one in use."""
    folder.mkdir(parents=True, exist_ok=True)
    old = current(folder)
    _sweep(folder, keep=old)
    target = folder / f"{_PREFIX}{int(old.removeprefix(_PREFIX)) + 1 if old else 1}"
    target.mkdir()
    blob, starts = _joined(index.corpus.records)
    arrays = {
        "ids": index.corpus.ids, "terms": index.corpus.terms, "tokens": index.corpus.tokens, "starts": index.corpus.starts,
        "data": index.data, "indices": index.indices, "indptr": index.indptr, "record_starts": starts, "records": blob,
    }  # fmt: skip
    if index.elsewhere is not None:
        arrays["elsewhere"] = index.elsewhere
    for name, array in arrays.items():
        with (target / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            _sync(file.fileno())
    replace(target / "index.json", json.dumps({"format": FORMAT, "settings": dict(settings), "arrays": sorted(arrays)}))
    sync_folder(target)
    replace(folder / CURRENT, target.name)
    sys.audit("ragkit.boundary", "bm25.sweep")
    if old:
        shutil.rmtree(folder / old, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove every index: first the name, so that no reader meets a half-removed one."""
    (folder / CURRENT).unlink(missing_ok=True)
    (folder / MARK).unlink(missing_ok=True)
    _sweep(folder, keep=None)
    sync_folder(folder)


def replace(path: Path, text: str) -> None:
    """Write a small file whole or not at all, durably."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        _sync(file.fileno())
    sys.audit("ragkit.boundary", f"bm25.{path.name}")
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _read(folder: Path, settings: Mapping[str, Any]) -> Index:
    about = json.loads((folder / "index.json").read_text("utf-8"))
    if about["format"] > FORMAT:
        raise ComponentError(f"{folder} was written by a newer ragkit-bm25", component="bm25", cure="update ragkit-bm25")
    if about["settings"] != dict(settings):
        raise ComponentError(
            f"{folder} was built with {about['settings']}, not with {dict(settings)}",
            component="bm25",
            cure="run `ragkit ingest`, which builds an index of its own for other options",
        )
    arrays = {name: _array(folder / f"{name}.npy") for name in about["arrays"]}
    records = Records(arrays["records"], arrays["record_starts"])
    corpus = Corpus(arrays["ids"], arrays["terms"], arrays["tokens"], arrays["starts"], records)
    return Index(corpus, arrays["data"], arrays["indices"], arrays["indptr"], arrays.get("elsewhere"))


def _array(path: Path) -> Array:
    mapped = path.stat().st_size >= _MAPPED_FROM
    # As a plain array: `np.memmap` costs at every slice.
    return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))


def _joined(records: Sequence[bytes]) -> tuple[Array, Array]:
    starts = np.zeros(len(records) + 1, dtype=np.int64)
    pieces = list(records)
    np.cumsum([len(piece) for piece in pieces], out=starts[1:])
    return np.frombuffer(b"".join(pieces), dtype=np.uint8), starts


def _sweep(folder: Path, keep: str | None) -> None:
    """Remove what a crash left behind: every index but the one in use."""
    for path in folder.glob(f"{_PREFIX}*"):
        if path.name != keep:
            shutil.rmtree(path, ignore_errors=True)


def _damaged(path: Path, why: str) -> ComponentError:
    return ComponentError(
        f"the BM25 index in {path} is damaged: {why}", component="bm25", cure="run `ragkit views repair`, which builds it anew"
    )
