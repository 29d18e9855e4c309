"""FAISS's folder between processes: readers beside a writer see whole states, and a kill leaves what was flushed."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import faiss_writers
import forking
import numpy as np
import pytest
from faiss_writers import State, busy_store, in_edition, present

from ragkit.testing.conformance.filtering import equal

EDITIONS = 25
KILLS = 20


def started(task: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    """Another process at work, and what it tells."""
    context = forking.context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=task, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver


class Reader:
    """A thread that searches until it is stopped; every answer must be one whole edition, and none that was replaced before."""

    def __init__(self, store: Any, ask: Any) -> None:
        self.problems: list[str] = []
        self.searches = 0
        self.told = 1
        self._ask = ask
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        question = [1.0, *[0.0] * 7]
        try:
            while not self._stop.is_set() and not self.problems:
                told = self.told
                self._look(told, *self._store.search_ids(self._ask(question, 1_000)), whole=True)
                self._look(told, *self._store.search_ids(self._ask(question, 5)), whole=False)
                self.searches += 2
        except Exception as error:
            self.problems.append(f"{type(error).__name__}: {error}")

    def _look(self, told: int, ids: list[str], scores: list[float], *, whole: bool) -> None:
        editions = {int(score + 1e-4) for score in scores}
        edition = min(editions)
        if len(editions) > 1 or edition < told:
            self.problems.append(f"editions {editions} after {told} was told")
        elif whole and set(ids) != present(edition):
            self.problems.append(f"edition {edition}: {set(ids) ^ present(edition)}")
        elif not set(ids) <= present(edition):
            self.problems.append(f"deleted: {set(ids) - present(edition)}")

    def stop(self) -> list[str]:
        self._stop.set()
        self._thread.join()
        return self.problems


def test_readers_see_whole_states_and_each_flush_at_once(tmp_path: Path, ask: Any) -> None:
    writer = busy_store(tmp_path, metric="dot")
    writer.upsert(in_edition(1))
    writer.flush()
    store = busy_store(tmp_path, metric="dot", ef_search=5)  # so narrow that the graph is used for small answers
    reader = Reader(store, ask)
    process, pipe = started(faiss_writers.rewrite, tmp_path, EDITIONS)
    while (edition := pipe.recv()) is not None:
        reader.told = edition
        assert set(store.ids()) in [present(later) for later in range(edition, EDITIONS + 2)]  # it may be ahead
    process.join(30)
    assert reader.stop() == []
    assert reader.searches > 10
    assert set(store.ids()) == present(EDITIONS + 1)
    assert store.client.ntotal >= len(present(EDITIONS + 1))
    assert len(list(tmp_path.glob("epoch-*"))) == 1


def verify(folder: Path, state: State, ask: Any) -> None:
    """A store opened now holds exactly `state`: ids, vectors, metadata, and what a search finds."""
    store = busy_store(folder, metric="l2")
    assert store.count() == len(state)
    assert set(store.ids()) == state.keys()
    vectors = store.vectors(sorted(state))
    for id_, edition in state.items():
        assert np.array_equal(vectors[id_], faiss_writers.vector(id_, edition))
    for edition in set(state.values()):
        found, _ = store.search_ids(ask([0.0] * 8, 1_000, filters=equal("edition", edition)))
        assert set(found) == {id_ for id_, held in state.items() if held == edition}
    if state:
        question = np.random.default_rng(1).normal(size=8)
        ids, scores = store.search_ids(ask(question.tolist(), 10))
        true = {id_: -float(((vectors[id_] - question) ** 2).sum()) for id_ in state}
        assert ids == sorted(true, key=lambda id_: -true[id_])[:10]
        assert scores == pytest.approx([true[id_] for id_ in ids], abs=1e-3)


def told(pipe: Connection) -> list[tuple[str, int]]:
    """All that a process that is dead has told."""
    messages = []
    try:
        while pipe.poll():
            messages.append(pipe.recv())
    except EOFError:
        pass
    return messages


@pytest.mark.kill
def test_a_kill_at_any_time_leaves_what_was_flushed(tmp_path: Path, ask: Any) -> None:
    random.seed(7)
    all_states = list(islice(faiss_writers.states(), 3_000))
    reached = 0
    for _ in range(KILLS):
        process, pipe = started(faiss_writers.follow, tmp_path, reached + 1)
        assert pipe.poll(60)
        messages = [pipe.recv()]
        process.join(random.uniform(0.0, 0.25))
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        messages += told(pipe)
        done = max((step for what, step in messages if what == "done"), default=reached)
        begun = max(step for _, step in messages)
        assert begun in (done, done + 1)
        held = busy_store(tmp_path, metric="l2")
        ids = dict(held.vectors(list(held.ids())))
        reached = begun if is_state(ids, all_states[begun]) else done
        verify(tmp_path, all_states[reached], ask)
    assert reached > KILLS


@pytest.mark.kill
def test_a_kill_at_any_durable_step_leaves_what_was_flushed(tmp_path: Path, ask: Any) -> None:
    all_states = list(islice(faiss_writers.states(), 200))
    reached, died = 10, 0  # the next step deletes most
    store = busy_store(tmp_path, metric="l2")
    for step in range(1, reached + 1):
        faiss_writers.do(store, step)
    for number in range(1_000):
        process, pipe = started(faiss_writers.do_and_die, tmp_path, reached + 1, number)
        process.join(60)
        messages = told(pipe)
        assert process.exitcode in (0, -signal.SIGKILL)
        died += process.exitcode != 0
        held = busy_store(tmp_path, metric="l2")
        ids = dict(held.vectors(list(held.ids())))
        after = is_state(ids, all_states[reached + 1])
        assert after or ("done", reached + 1) not in messages
        reached += after
        verify(tmp_path, all_states[reached], ask)
        if process.exitcode == 0:
            break
    assert died > 8
    assert len(list(tmp_path.glob("epoch-*"))) == 1


def is_state(vectors: Any, state: State) -> bool:
    return vectors.keys() == state.keys() and all(
        np.array_equal(vectors[id_], faiss_writers.vector(id_, edition)) for id_, edition in state.items()
    )
