"""A kill at any durable step of `bm25`'s flush leaves the old index or the new one, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import ragkit_bm25
from ragkit.testing import build_context
from ragkit_bm25 import BM25Options


@pytest.mark.kill
@pytest.mark.parametrize(("boundary", "words"), [("bm25.index.json", "old"), ("bm25.CURRENT", "old"), ("bm25.sweep", "new")])
def test_a_kill_leaves_a_whole_index(boundary: str, words: str, tmp_path: Path, node: Any, ask: Any) -> None:
    store = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path))
    store.upsert([node(f"n{i}", "old words") for i in range(20)])
    store.flush()
    script = f"""
        import os, signal, sys
        from pathlib import Path
        from llama_index.core.schema import TextNode
        from ragkit.testing import build_context
        import ragkit_bm25
        store = ragkit_bm25.build_store(ragkit_bm25.BM25Options(), build_context(Path({str(tmp_path)!r})))
        store.upsert([TextNode(id_=f"n{{i}}", text="new words") for i in range(20)])
        def hook(event, arguments):
            if event == "ragkit.boundary" and arguments == ({boundary!r},):
                os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        store.flush()
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    again = ragkit_bm25.build_store(BM25Options(), build_context(tmp_path))
    for reader in (store, again):
        assert len(reader.search_ids(ask(words, 100))[0]) == 20
    again.upsert([node(f"n{i}", "new words") for i in range(20)])
    again.flush()
    assert len(store.search_ids(ask("new", 100))[0]) == 20
    assert store.search_ids(ask("old", 100)) == ([], [])
    assert len(list(tmp_path.glob("index-*"))) == 1
