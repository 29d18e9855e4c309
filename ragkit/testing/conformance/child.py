"""The other process of a test: it opens the same store through the author's suite, and churns it or dies over it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ragkit.testing.conformance.concurrency import churn
from ragkit.testing.conformance.stores import Opened, chunk, uid
from ragkit.testing.conformance.suite import StoreSuite


def work(job: Mapping[str, Any], pipe: Connection, errors: str) -> None:
    """Do a job that `Opener.job` made; tells through `pipe` what has been flushed, and prints to the file `errors`."""
    gc.freeze()  # what was forked is not looked through again
    for number in (1, 2):
        os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND), number)
    suite = _suite(job["file"], job["suite"])
    store = suite.opened(Path(job["folder"]), job["collection"], job["options"])
    deletes = suite.claims().deletes
    if job["task"] == "die":
        _die(store, deletes=deletes)
    churn(store, lambda what, id_: pipe.send((what, id_)), deletes=deletes)
    store.close()


def _suite(file: str, name: str) -> type[StoreSuite]:
    """The author's class, from its file: test modules need not be importable by name."""
    spec = spec_from_file_location("ragkit_conformance_tests", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    suite: type[StoreSuite] = found
    return suite


def _die(store: Opened, *, deletes: bool) -> None:
    """Write, flush, write on and end without any farewell."""
    store.put(*(chunk(f"kept-{i}", "common before") for i in range(150)))
    store.mark({"owner": "killed"})
    store.write(*(chunk(f"kept-{i}", "common after") for i in range(50)))
    if deletes:
        store.write(chunk("deleted"))
        store.flush()
        store.store.delete_nodes([uid("deleted")])
    store.flush()
    store.write(*(chunk(f"torn-{i}", "common after") for i in range(150)))
    os.kill(os.getpid(), signal.SIGKILL)
