"""The store `pgvector` is what its capabilities say, against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import ragkit_pgvector
from ragkit.testing.conformance import VectorStoreSuite

pytest_plugins = ["postgres"]
pytestmark = pytest.mark.service


class TestPgvector(VectorStoreSuite):
    component = ragkit_pgvector.ragkit_vector_stores()[0]

    @pytest.fixture
    def options(self, postgres: Any) -> Mapping[str, Any]:
        return {"url": postgres.url()}
