"""What the tests of the house share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripts import Scripts


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    """What runs a script; the tests that use it are one group, so that one worker has it."""
    with Scripts(tmp_path_factory.mktemp("scripts"), HF_HUB_OFFLINE="1") as running:
        yield running
