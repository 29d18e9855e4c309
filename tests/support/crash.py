"""Running an ingest that stops dead at a chosen durable boundary, and comparing what it left.

An ingest announces each boundary as an audit event; renaming a file and starting a program are such by themselves. A child
process stops at the nth event and waits there until it is killed, so that every kill meets a live process at a known place.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import forking


@dataclass(frozen=True)
class Event:
    """A boundary that an ingest crossed: its name and how often it was crossed before."""

    name: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.name}#{self.occurrence}"


def _child(config: Path, stop_at: Event | int | None, pipe: Connection) -> None:
    """Ingest; report every event, and at `stop_at`, an event or the number of one, wait for the end."""
    gc.freeze()  # what was forked is not looked through again
    crossed: list[str] = []

    def listen(event: str, args: tuple[Any, ...]) -> None:
        if event == "ragkit.boundary":
            crossed.append(str(args[0]))
        elif event == "os.rename" and str(config.parent) in str(args[0]):
            crossed.append("os.rename")
        elif event == "subprocess.Popen":
            crossed.append(event)
        else:
            return
        if stop_at == len(crossed) - 1 or stop_at == Event(crossed[-1], crossed.count(crossed[-1]) - 1):
            pipe.send(crossed)
            time.sleep(3600)

    from ragkit.host import Host
    from ragkit.pipeline import Pipeline
    from ragkit.testing import plugin

    sys.addaudithook(listen)
    with Pipeline.from_yaml(config, host=Host(plugins=[plugin])) as pipeline:
        report = pipeline.ingest(allow_removals=True)
    pipe.send((crossed, report.to_dict()))


def _start(config: Path, stop_at: Event | int | None) -> tuple[Any, Connection]:
    context = forking.context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(config, stop_at, sender))
    process.start()
    sender.close()
    return process, receiver


def ingest(config: Path) -> tuple[list[Event], dict[str, Any]]:
    """An undisturbed ingest in a process of its own: what it crossed, and its report."""
    process, pipe = _start(config, None)
    assert pipe.poll(90), "the ingest did not end"
    crossed, report = pipe.recv()
    process.join(30)
    assert process.exitcode == 0
    seen: dict[str, int] = {}
    events = []
    for name in crossed:
        seen[name] = seen.get(name, -1) + 1
        events.append(Event(name, seen[name]))
    return events, report


def kill_at(config: Path, stop_at: Event | int) -> str | None:
    """Start an ingest and kill it with SIGKILL at an event; returns that event's name, None if it ended before.

    The event is given by its number, or by its name and how often it was crossed before: which of two that go on side by side
    comes first is not always the same.
    """
    process, pipe = _start(config, stop_at)
    assert pipe.poll(90), "the ingest neither stopped nor ended"
    said = pipe.recv()
    if isinstance(said, tuple):
        process.join(30)
        return None
    assert process.is_alive(), "the process was to be alive when it was killed"
    process.kill()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    return str(said[-1])


@dataclass(frozen=True)
class Content:
    """Everything that must not depend on an interruption: ledger, ids and counts."""

    documents: list[tuple[Any, ...]]
    chunks: list[tuple[Any, ...]]
    tombstones: int
    vector_ids: list[str]
    keyword_ids: list[str]
    health: list[tuple[str, str, int | None]]


def content(config: Path) -> Content:
    """What ledger and stores hold, without numbers that count runs."""
    from sqlalchemy import func, select

    from ragkit.host import Host
    from ragkit.pipeline import Pipeline
    from ragkit.state.schema import chunks, documents
    from ragkit.testing import plugin

    with Pipeline.from_yaml(config, host=Host(plugins=[plugin])) as pipeline:
        index = pipeline._index
        with index.ledger.read() as connection:
            columns = [documents.c[name] for name in ("id", "source", "uri", "title", "metadata", "content_hash", "current")]
            held = sorted(tuple(row) for row in connection.execute(select(*columns)))
            columns = [chunks.c[name] for name in ("id", "ordinal", "start", "end", "text", "lead", "heading", "page")]
            cut = sorted(tuple(row) for row in connection.execute(select(*columns).where(~chunks.c.deleted)))
            dead = connection.execute(select(func.count()).select_from(chunks).where(chunks.c.deleted)).scalar_one()
        live = index.live()
        with index.pool.using(live.vector, live.keyword) as views:
            ids = [sorted(view.store.ids() or ()) for view in views]
        health = [(view.kind, view.state, view.count) for view in pipeline.status().views]
    return Content(held, cut, dead, ids[0], ids[1], health)


def recall(config: Path, questions: list[str], k: int = 10) -> float:
    """The share of the exact nearest neighbours, over the vectors that the store holds, that dense search finds."""
    import numpy as np

    from ragkit.host import Host
    from ragkit.pipeline import Pipeline
    from ragkit.testing import plugin

    found = wanted = 0
    with Pipeline.from_yaml(config, host=Host(plugins=[plugin]), overrides=["retriever=dense"]) as pipeline:
        index = pipeline._index
        live = index.live()
        with index.pool.using(live.vector) as (view,):
            held = view.store.vectors(sorted(view.store.ids() or ()))
            assert held is not None
            ids, matrix = list(held), np.array(list(held.values()))
            for question in questions:
                query = np.array(index.wiring.embedding.get_query_embedding(question))
                similarities = matrix @ query / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query)
                cut = np.sort(similarities)[-k]
                good = {ids[number] for number in np.flatnonzero(similarities >= cut - 1e-6)}
                hits = {node.node.node_id for node in pipeline.search(question, k=k).nodes}
                found += len(hits & good)
                wanted += k
    return found / wanted
