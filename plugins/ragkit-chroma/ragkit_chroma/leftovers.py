"""Chroma deletes a collection and leaves its HNSW files in the folder; this takes them away."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID


def remove_orphans(folder: Path) -> None:
    """Remove the folders of vectors in `folder` that belong to no collection any more.

    Chroma names each after a row of its table `segments`. Where that cannot be read, nothing is removed.
    """
    try:
        with closing(sqlite3.connect(f"{(folder / 'chroma.sqlite3').resolve().as_uri()}?mode=ro", uri=True)) as database:
            known = {str(row[0]) for row in database.execute("SELECT id FROM segments")}
    except sqlite3.Error:  # another layout than Chroma 1's: the files stay, which costs disk alone
        return
    for path in folder.iterdir():
        if path.is_dir() and _is_uuid(path.name) and path.name not in known:
            shutil.rmtree(path, ignore_errors=True)


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
