"""Unusual and much content: scripts, large and nested metadata, texts of a megabyte, ten thousand chunks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ragkit.testing.conformance.claims import needs
from ragkit.testing.conformance.filtering import METADATA, equal
from ragkit.testing.conformance.stores import chunk, uid, uids
from ragkit.testing.conformance.suite import Opener, StoreSuite

UNICODE = "Ünïcödé 漢字 かな العربية हिन्दी 😀👩‍👩‍👧 e\u0301 \u200b \u202e “quotes” 'it''s' \\ \" % _ \n\t end"
MEGABYTE = "common " + " ".join(f"word{i}" for i in range(130_000)) + " lastword"


class ContentTests(StoreSuite):
    """A store takes what documents bring along."""

    def test_takes_text_and_metadata_of_any_shape(self, opener: Opener) -> None:
        """Take unicode, None, nested and large metadata, or leave out of it what the store cannot keep; never raise for it."""
        store = opener()
        store.put(*(chunk(name, "common red", metadata=metadata) for name, metadata in METADATA.items()))
        store.put(chunk("unicode", f"common red {UNICODE}", document=UNICODE, metadata={"kind": UNICODE, UNICODE[:20]: 1}))
        store.put(chunk("deep", "common red", metadata={"a": {"b": [{"c": [None, {"d": 1.5}]}]}, "n": [None], "t": "x" * 16_000}))
        store.put(chunk("wide", "common red", metadata={f"key {i}": i for i in range(200)}))
        assert store.ids() == uids([*METADATA, "unicode", "deep", "wide"])
        assert set(uids(METADATA)) <= set(store.search("red", 100)[0])

    @needs(lambda claims: claims.filters)
    def test_filters_find_unusual_values(self, opener: Opener) -> None:
        """Hand keys and values to the store as they are: nothing may be escaped, folded, trimmed or cut on the way."""
        values = (UNICODE, "it's", '"', "\\", "%", " padded ", "x" * 16_000, "TRUE", "1", "null", "ß", "ss")
        store = opener()
        store.put(*(chunk(f"{i}", metadata={"value": value}) for i, value in enumerate(values)))
        for i, value in enumerate(values):
            assert store.search("common", 50, filters=equal("value", value))[0] == [uid(f"{i}")], value

    def test_takes_a_text_of_a_megabyte(self, opener: Opener) -> None:
        """Take a long text whole where the store keeps or indexes it; where it does not, do not hand it on."""
        store = opener()
        store.put(chunk("large", MEGABYTE, vector=chunk("red", "red").embedding), chunk("small", "common blue"))
        assert store.ids() == uids(["large", "small"])
        assert uid("large") in store.search("red" if store.metric else "lastword")[0]

    @needs(lambda claims: claims.stores_text)
    def test_stored_text_comes_back_as_it_was(self, opener: Opener) -> None:
        """With `store_text` return nodes from `query`, with text and document, to the last character."""
        store = opener(**self._keeping_text())
        texts = {"red": f"red {UNICODE}", "large": MEGABYTE, "empty": ""}
        vector = chunk("red", "red").embedding
        store.put(*(chunk(name, text, vector=vector, document=f"d {name}") for name, text in texts.items()))
        question = "red" if store.metric else "red word1"
        nodes = {node.node_id: node for node in store.store.query(store.query(question)).nodes or []}
        assert store.store.stores_text
        for name, text in texts.items():
            if store.metric or name != "empty":  # no word of it can be asked for
                assert nodes[uid(name)].get_content() == text, name
                assert nodes[uid(name)].ref_doc_id == f"d {name}"

    def test_text_is_kept_only_where_asked(self, opener: Opener) -> None:
        """Keep no text by default: it lies in ragkit's ledger. Return ids and no nodes, with `stores_text = False`."""
        store = opener()
        store.put(chunk("a", "common red secret"))
        nodes = store.store.query(store.query("red")).nodes or []
        assert store.store.stores_text or "secret" not in "".join(node.get_content() for node in nodes)
        assert self.claims().stores_text or not store.store.stores_text

    def test_ten_thousand_chunks(self, opener: Opener) -> None:
        """Write in the batches that come, each in one request or transaction; update and delete among many without a rebuild
        per chunk. A vector index finds at least 95 of 100 true neighbours."""
        store = opener()
        vectors = np.random.default_rng(5).normal(size=(10_000, 32)).astype(np.float32)
        for start in range(0, 10_000, 1_000):
            numbers = range(start, start + 1_000)
            store.write(*(self._numbered(i, vectors[i].tolist()) for i in numbers))
            if self.claims().incremental:
                store.flush()
        store.flush()
        assert store.count() == 10_000
        self._finds(store, {i: vectors[i] for i in range(10_000)})
        if self.claims().deletes:
            store.remove(*(uid(f"{i}") for i in range(0, 10_000, 2)))
            assert store.count() == 5_000
            self._finds(store, {i: vectors[i] for i in range(1, 10_000, 2)})

    def _numbered(self, number: int, vector: list[float]) -> Any:
        return chunk(f"{number}", f"common word{number} group{number % 500}", vector=vector, document=f"d{number // 10}")

    def _finds(self, store: Any, held: dict[int, Any]) -> None:
        """Assert that a store of numbered chunks finds those it should."""
        raise NotImplementedError

    def _keeping_text(self) -> dict[str, Any]:
        return {"store_text": True} if "store_text" in self.component.options.model_fields else {}
