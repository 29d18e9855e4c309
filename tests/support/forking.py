"""Other processes of the tests: forked from one server that has imported what they all need.

A test process has one such server, which starts with the first child; what is to be imported in it has to be known by then. So
everybody gets it from here.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

PRELOAD = [
    "bm25s", "faiss", "pathspec", "regex", "sentencex", "Stemmer",
    "ragkit.pipeline", "ragkit.testing.conformance.child", "ragkit.testing.plugin", "ragkit.analysis.cutting",
    "ragkit.builtin.chunkers.sentence", "ragkit.builtin.cleaners.whitespace", "ragkit.builtin.retrievers",
    "ragkit.builtin.sources.files", "ragkit.conversion.markdown", "ragkit_bm25.store", "ragkit_faiss.store", "ragkit_web",
    "hosting", "psycopg", "sqlalchemy.dialects.postgresql.psycopg",
]  # fmt: skip
"""None of these starts a thread, which a fork would lose."""


def context() -> ForkServerContext:
    """What makes processes and pipes."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOAD)
    return found
