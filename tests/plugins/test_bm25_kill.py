"""A kill at any durable step of `bm25`'s flush leaves the old index or the new one, whole."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import forking
import pytest

import ragkit_bm25
from ragkit.testing import build_context
from ragkit_bm25 import BM25Options


def _flush_until(folder: Path, boundary: str) -> None:
    """The other process: it replaces what is there, and dies at a boundary of the flush."""
    from llama_index.core.schema import TextNode

    store = ragkit_bm25.build_store(BM25Options(), build_context(folder))
    store.upsert([TextNode(id_=f"n{i}", text="new words") for i in range(20)])

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ragkit.boundary" and arguments == (boundary,):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    store.flush()


@pytest.mark.kill
@pytest.mark.parametrize(("boundary", "words"), [("bm25.index.json", "old"), ("bm25.CURRENT", "old"), ("bm25.sweep", "new")])
def test_a_kill_leaves_a_whole_index(boundary: str, words: str, tmp_path: Path, node: Any, ask: Any) -> None:
    store = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path))
    store.upsert([node(f"n{i}", "old words") for i in range(20)])
    store.flush()
    process = forking.context().Process(target=_flush_until, args=(tmp_path, boundary))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path))
    for reader in (store, again):
        assert len(reader.search_ids(ask(words, 100))[0]) == 20
    again.upsert([node(f"n{i}", "new words") for i in range(20)])
    again.flush()
    assert len(store.search_ids(ask("new", 100))[0]) == 20
    assert store.search_ids(ask("old", 100)) == ([], [])
    assert len(list(tmp_path.glob("index-*"))) == 1
