"""Can the state's file system be trusted with SQLite's write-ahead log, and has it room?"""

from __future__ import annotations

import shutil
from pathlib import Path

from ragkit.errors import StateError

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)
_LEAST_FREE_BYTES = 1 << 20


def is_full(folder: Path) -> bool:
    """Whether next to nothing can be written to the disk of `folder` any more."""
    return shutil.disk_usage(folder).free < _LEAST_FREE_BYTES


def refuse_network(folder: Path, key: str = "state", mounts: Path = Path("/proc/self/mounts")) -> None:
    """Raise `StateError` if `folder`, which `key` names in the YAML, lies on a network file system.

    Does nothing where the system has no list of what is mounted.
    """
    try:
        rows = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return
    points = [(row[1].replace("\\040", " "), row[2]) for row in rows if len(row) > 2]
    real = folder.resolve()
    above = [(point, kind) for point, kind in points if real == Path(point) or Path(point) in real.parents]
    point, kind = max(above, key=lambda item: len(item[0]), default=("", ""))
    if kind in _NETWORK:
        raise StateError(
            f"the state folder {folder} lies on a network file system ({kind}, mounted at {point}), where SQLite loses data",
            cure=f"set `{key}` to a folder on a local disk",
        )
