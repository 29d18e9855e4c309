"""How the index stands: what `ragkit status` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import RagkitError
from ragkit.state.copies import Copy
from ragkit.state.records import GenerationRecord, ViewRecord
from ragkit.state.views import Health, View


@dataclass(frozen=True)
class ViewStatus:
    """A view: `state` is `complete`, `lagging`, `drifted`, `missing`, `foreign` or `unavailable`; `detail` says why.

    `copies` are those of all machines, where several share the state and each has one of its own.
    """

    name: str
    kind: str
    generation: int
    state: str
    count: int | None
    applied: int
    lag: int
    fingerprint: str
    collection: str
    size_bytes: int
    detail: str
    copies: Sequence[Copy]


@dataclass(frozen=True)
class Status:
    """The index as a whole. `matches` tells whether the configuration describes the live generation; `cure` what to do if not."""

    name: str
    state: str
    generation: int
    matches: bool
    detail: str
    documents: int
    chunks: int
    truncated: int
    views: Sequence[ViewStatus]
    cache: dict[str, Any]
    last_run: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit status --json`."""
        return asdict(self)


def view_status(applied: int, copies: Sequence[Copy], generation: GenerationRecord, view: View) -> ViewStatus:
    """A view's state; one that cannot be opened is `unavailable`, with the reason. `applied` is how far it has come."""
    record: ViewRecord = view.record
    try:
        health = view.health()
    except RagkitError as error:
        health = Health("unavailable", applied, 0, None, 0, error.message)
    return ViewStatus(
        name=record.component,
        kind=record.kind,
        generation=generation.id,
        state=health.state,
        count=health.count,
        applied=health.applied,
        lag=health.lag,
        fingerprint=record.fingerprint,
        collection=record.collection,
        size_bytes=folder_bytes(view.folder),
        detail=health.detail,
        copies=copies if view.is_own else (),
    )


def folder_bytes(folder: Path) -> int:
    """What the files below a folder weigh; 0 where there is none."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
