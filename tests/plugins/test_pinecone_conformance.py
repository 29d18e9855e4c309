"""The store `pinecone` is what its capabilities say, against a local server that keeps Pinecone's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pinecone_server import PineconeServer

import ragkit_pinecone
from ragkit.errors import ComponentError
from ragkit.testing.conformance import VectorStoreSuite, overrides
from ragkit.testing.conformance.content import MEGABYTE, UNICODE
from ragkit.testing.conformance.stores import chunk, uid
from ragkit.testing.conformance.suite import Opener

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def server() -> Iterator[PineconeServer]:
    with PineconeServer() as running:
        yield running


class TestPinecone(VectorStoreSuite):
    component = ragkit_pinecone.ragkit_vector_stores()[0]

    @pytest.fixture
    def options(self, server: PineconeServer) -> Iterator[Mapping[str, Any]]:
        yield server.options()
        assert server.violations == [], "what passed is not as the vendor's documents say"

    @overrides("Pinecone keeps 40 KB of metadata per record, and a text lies there: as much as fits comes back, more is refused")
    def test_stored_text_comes_back_as_it_was(self, opener: Opener) -> None:
        store = opener(store_text=True)
        texts = {"red": f"red {UNICODE}", "large": MEGABYTE[:80_000], "empty": ""}
        vector = chunk("red", "red").embedding
        store.put(*(chunk(name, text, vector=vector, document=f"d {name}") for name, text in texts.items()))
        nodes = {node.node_id: node for node in store.store.query(store.query("red")).nodes or []}
        for name, text in texts.items():
            assert nodes[uid(name)].get_content() == text, name
            assert nodes[uid(name)].ref_doc_id == f"d {name}"
        with pytest.raises(ComponentError, match=rf"{uid('larger')}.*364,\d+ bytes.*40,000") as caught:
            store.put(chunk("larger", MEGABYTE, vector=vector), chunk("red", "common blue"))
        assert "store_text" in caught.value.cure
        assert store.count() == 3
        assert store.store.get_nodes([uid("red")])[0].get_content() == texts["red"]
