"""Writers of a FAISS store for other processes: one that rewrites everything again and again, one that is to be killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

CHUNKS = 300
STEPS_TO_CLOSE = 7

State = dict[str, int]
"""The edition of every chunk that is there."""


def busy_store(folder: Path, **options: Any) -> Any:
    """A store in which all that happens rarely happens all the time: graphs, and epochs for dead rows."""
    from ragkit_faiss import FaissOptions
    from ragkit_faiss.store import FaissStore
    from ragkit_faiss.writer import Limits

    return FaissStore(folder, FaissOptions(index="hnsw", **options), Limits(flat=0, tail=4, step=50))


def node(id_: str, vector: Any, **metadata: Any) -> Any:
    from llama_index.core.schema import TextNode

    return TextNode(id_=id_, embedding=[float(value) for value in vector], metadata=metadata)


# Whole editions


def present(edition: int) -> set[str]:
    """The chunks of an edition."""
    return {f"chunk-{number:03}" for number in range(CHUNKS) if (number + edition) % 5}


def in_edition(edition: int) -> list[Any]:
    """The nodes of an edition. With `dot` and the question (1, 0, …) the score of a chunk is edition + its number / 1000."""
    return [node(id_, [edition + int(id_[-3:]) / 1000, 1.0, *[0.0] * 6], edition=edition) for id_ in sorted(present(edition))]


def rewrite(folder: Path, editions: int, pipe: Connection) -> None:
    """Replace edition by edition, each with one flush, and tell of it."""
    store = busy_store(folder, metric="dot")
    for edition in range(2, editions + 2):
        store.delete_nodes(sorted(present(edition - 1) - present(edition)))
        store.upsert(in_edition(edition))
        store.flush()
        pipe.send(edition)
    store.close()
    pipe.send(None)


# Steps that anybody can follow


def vector(id_: str, edition: int) -> Any:
    """The vector of a chunk in an edition."""
    return np.random.default_rng([int(id_), edition]).normal(size=8).astype(np.float32)


def changes(step: int) -> tuple[list[str], list[str]]:
    """What a step puts in, and what it takes out."""
    random = Random(step)
    ids = [str(number) for number in range(80)]
    random.shuffle(ids)
    gone = 70 if step % 11 == 0 else random.randrange(8)
    return ids[gone : gone + random.randrange(1, 25)], ids[:gone]


def states() -> Iterator[State]:
    """The state after step 0, 1, 2, …"""
    state: State = {}
    step = 0
    while True:
        yield dict(state)
        step += 1
        put, gone = changes(step)
        state = {id_: edition for id_, edition in state.items() if id_ not in gone} | dict.fromkeys(put, step)


def do(store: Any, step: int) -> None:
    """Do a step and flush."""
    put, gone = changes(step)
    store.delete_nodes(gone)
    store.upsert([node(id_, vector(id_, step), edition=step) for id_ in put])
    store.flush()


def follow(folder: Path, first: int, pipe: Connection) -> None:
    """Do step after step from `first` on and tell before and after each; now and then close."""
    store = busy_store(folder, metric="l2")
    step = first
    while True:
        pipe.send(("begins", step))
        do(store, step)
        pipe.send(("done", step))
        if step % STEPS_TO_CLOSE == 0:
            store.close()
        step += 1


def do_and_die(folder: Path, step: int, at_sync: int, pipe: Connection) -> None:
    """Do one step, tell, and close; but die instead of that call of `fsync`."""
    _die_at_sync(at_sync)
    store = busy_store(folder, metric="l2")
    do(store, step)
    pipe.send(("done", step))
    store.close()


def _die_at_sync(number: int) -> None:
    left, fsync = [number], os.fsync

    def sync(descriptor: int) -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        fsync(descriptor)

    os.fsync = sync
