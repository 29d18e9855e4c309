"""Contracts, host and configuration load no SDK, no database and no array library."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import ragkit, ragkit.host, ragkit.config
host = ragkit.host.Host()
heavy = {"llama_index", "sqlalchemy", "numpy", "torch", "chromadb", "bm25s", "faiss", "tantivy", "transformers", "pypdf"}
print(sorted(heavy & set(sys.modules)))
"""


def test_nothing_heavy_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
