"""The file of the built-in store `memory`.

It begins with a token and goes on with one block per flush: its lengths and checksum, what it takes out and puts in as JSON,
and the vectors. A block counts when it is whole, so a writer that dies leaves what was flushed. A file of mostly superseded
rows is written anew beside the old one, with another token, and takes its place by a rename.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ragkit.errors import ComponentError
from ragkit.stores import sync_folder

Array = np.ndarray[Any, Any]

_LENGTHS = struct.Struct("<QQI")
_TOKEN = 16
_SUPERSEDED = 1_000
"""A file is written anew when it has more rows than twice the living and so many."""


@dataclass(frozen=True)
class Row:
    """A chunk as it is kept."""

    document: str | None
    metadata: Mapping[str, Any]
    vector: Array


@dataclass(frozen=True)
class State:
    """What the file with this token says up to `size`; `written` counts rows, superseded ones included."""

    token: bytes = b""
    size: int = 0
    written: int = 0
    rows: Mapping[str, Row] = field(default_factory=dict)

    @cached_property
    def ids(self) -> list[str]:
        return list(self.rows)

    @cached_property
    def matrix(self) -> Array:
        """The vectors as float32 (n, dim)."""
        return np.stack([row.vector for row in self.rows.values()]) if self.rows else np.empty((0, 0), dtype=np.float32)

    @cached_property
    def lengths(self) -> Array:
        """The lengths of the vectors."""
        lengths: Array = np.linalg.norm(self.matrix, axis=1)
        return lengths

    def dim(self) -> int | None:
        return next((len(row.vector) for row in self.rows.values()), None)


def read(path: Path, state: State) -> State:
    """The state as the file has it now, read on from `state`."""
    try:
        with path.open("rb") as file:
            token = file.read(_TOKEN)
            if token != state.token:
                state = State(token, len(token))
            if os.fstat(file.fileno()).st_size <= state.size:
                return state
            file.seek(state.size)
            blocks = memoryview(file.read())
    except FileNotFoundError:
        return State()
    except OSError as error:
        cure = "make the folder readable for this user"
        raise ComponentError(f"the memory store's file {path} cannot be read: {error}", component="memory", cure=cure) from error
    rows, size, written = dict(state.rows), 0, state.written
    for end, said, vectors in _whole(blocks):
        for id_ in said["gone"]:
            rows.pop(id_, None)
        rows.update(
            (id_, Row(document, metadata, vector))
            for (id_, document, metadata), vector in zip(said["rows"], vectors, strict=True)
        )
        size, written = end, written + len(said["rows"])
    return State(token, state.size + size, written, rows) if size else state


def _whole(blocks: memoryview) -> Iterator[tuple[int, dict[str, Any], Array]]:
    """The whole blocks: where each ends, what it says, and its vectors (n, dim)."""
    at = 0
    while at + _LENGTHS.size <= len(blocks):
        text, size, checksum = _LENGTHS.unpack_from(blocks, at)
        at += _LENGTHS.size
        body = blocks[at : at + text + size]
        if len(body) < text + size or zlib.crc32(body) != checksum:
            return
        at += text + size
        said = json.loads(bytes(body[:text]).decode("utf-8", "surrogatepass"))
        yield at, said, np.frombuffer(body[text:], dtype=np.float32).reshape(len(said["rows"]), -1 if size else 0)


def _block(gone: Iterable[str], rows: Mapping[str, Row]) -> bytes:
    kept = [[id_, row.document, row.metadata] for id_, row in rows.items()]
    said = json.dumps({"gone": list(gone), "rows": kept}, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    vectors = b"".join(row.vector.tobytes() for row in rows.values())
    return _LENGTHS.pack(len(said), len(vectors), zlib.crc32(vectors, zlib.crc32(said))) + said + vectors


def write(path: Path, state: State, pending: Mapping[str, Row | None]) -> None:
    """Apply changes, None for ids to take out, durably. For the holder of the lock, to whom `state` is the newest."""
    rows = {id_: row for id_, row in pending.items() if row is not None}
    living = {id_: row for id_, row in state.rows.items() if id_ not in pending} | rows
    if state.token and state.written + len(rows) <= max(2 * len(living), _SUPERSEDED):
        with path.open("r+b") as file:
            file.truncate(state.size)  # a writer that died may have left half a block
            file.seek(state.size)
            _durably(file, _block([id_ for id_ in pending if id_ in state.rows], rows))
        return
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        _durably(file, uuid4().bytes + _block([], living))
    temporary.replace(path)
    sync_folder(path.parent)


def _durably(file: Any, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
