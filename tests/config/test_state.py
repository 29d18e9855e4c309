"""Where the state is: a folder, or a database with a folder beside it for what stays on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ragkit.config import Config, render, shown_state
from ragkit.errors import ConfigError

Load = Callable[..., Config]
START = "sources: [{use: files, path: docs}]\n"


def test_a_folder_has_everything_in_it(read: Load, tmp_path: Path) -> None:
    config = read(f"{START}state: here")
    assert (config.state, config.local) == (str(tmp_path / "handbook" / "here"), None)
    with pytest.raises(ConfigError, match="local: is for a state in postgresql://…; a folder as `state` has everything in it"):
        read(f"{START}state: here\nlocal: there")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_database_has_a_folder_beside_the_file(scheme: str, read: Load, tmp_path: Path) -> None:
    config = read(f"{START}state: {scheme}://host/db")
    assert (config.state, config.local) == (f"{scheme}://host/db", str(tmp_path / "handbook" / ".ragkit"))
    assert read(f"{START}state: {scheme}://host/db\nlocal: ../there").local == str(tmp_path / "there")
    for empty in ("''", "' '"):
        with pytest.raises(ConfigError, match="local: must name a folder"):
            read(f"{START}state: {scheme}://host/db\nlocal: {empty}")


@pytest.mark.parametrize("state", ["mysql://host/db", "postgresql+asyncpg://host/db", "sqlite:///x"])
def test_other_databases_are_refused(state: str, read: Load) -> None:
    with pytest.raises(ConfigError, match="state: must be a folder, or postgresql://user@host/database"):
        read(f"{START}state: {state}")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:********@host/db"),
        ("postgresql://me:sec/ret@x@host/db", "postgresql://me:********@host/db"),
        ("postgresql://me:sec%20ret@host:5432/db?schema=a", "postgresql://me:********@host:5432/db?schema=a"),
        ("postgresql:///db?host=/tmp&password=secret&user=me", "postgresql:///db?host=/tmp&password=********&user=me"),
        ("postgresql://host/db?sslkey=k&sslpassword=secret", "postgresql://host/db?sslkey=k&sslpassword=********"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
    ],
)
def test_a_password_is_not_shown(state: str, shown: str, read: Load) -> None:
    config = read(f"{START}state: {state}")
    assert shown_state(config) == render(config)["state"] == shown
