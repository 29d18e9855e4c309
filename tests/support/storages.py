"""The fixture `storage`: every test that asks for it runs over a state in a folder and over one in a real PostgreSQL.

A module says `pytest_plugins = ["storages"]`. Each call of the fixture opens the same state anew, as another process would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ragkit.state.postgres import PostgresStorage
from ragkit.state.sqlite import SqliteStorage
from ragkit.state.storage import Storage

pytest_plugins = ["postgres"]

Opener = Callable[[], Storage]


@pytest.fixture
def state_url(postgres: Any) -> str:
    """A state of the test's own in a real PostgreSQL."""
    return f"{postgres.url()}?schema=test_{uuid4().hex[:12]}"


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    if request.param == "sqlite":
        yield lambda: SqliteStorage(tmp_path)
        return
    url = request.getfixturevalue("state_url")
    made: list[PostgresStorage] = []

    def opened() -> Storage:
        made.append(PostgresStorage(url, tmp_path))
        made[-1].prepare()
        return made[-1]

    yield opened
    for one in made:
        if one._engine is not None:
            one._engine.dispose()
