"""The store `chroma` over a real server is what its capabilities say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from chroma_server import chroma_server

import ragkit_chroma
from ragkit.testing.conformance import VectorStoreSuite

pytestmark = pytest.mark.service


@pytest.fixture(scope="session")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chroma_server(tmp_path_factory.mktemp("chroma") / "data") as port:
        yield port


class TestChromaServer(VectorStoreSuite):
    component = ragkit_chroma.ragkit_vector_stores()[0]
    sample_options = {"host": "127.0.0.1"}  # noqa: RUF012 - as the suite has it

    @pytest.fixture
    def options(self, port: int) -> Mapping[str, Any]:
        return {"host": "127.0.0.1", "port": port}
