"""SHA-256 of large files, remembered: hashing 90 MB takes 0.1 s, which a command line search should not pay each time."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

_MEMO = "hashes.json"
_WORTH_IT = 1 << 20


def file_hash(path: Path, scratch: Path) -> str:
    """The SHA-256 of `path` in hex. Remembered in `scratch` until the file's size, modification time or inode changes."""
    status = path.stat()
    if status.st_size < _WORTH_IT:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    memo = _remembered(scratch)
    key = str(path.resolve())
    known = memo.get(key)
    if known and known[0] == stamp:
        return known[1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(scratch, {**memo, key: [stamp, digest]})
    return digest


def _remembered(scratch: Path) -> dict[str, list[str]]:
    try:
        memo = json.loads((scratch / _MEMO).read_text("utf-8"))
    except (OSError, ValueError):  # nothing remembered, or a memo cut short: it is computed anew
        return {}
    return memo if isinstance(memo, dict) else {}


def _remember(scratch: Path, memo: dict[str, list[str]]) -> None:
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=scratch, prefix=_MEMO)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(memo, file)
        Path(name).replace(scratch / _MEMO)
    except OSError:  # a folder that cannot be written costs time, not correctness
        return
