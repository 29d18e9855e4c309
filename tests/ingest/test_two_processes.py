"""Two processes over one state: one ingests while another searches.

Of a store that many processes may read, no query that begins after the ingest's report sees a deleted or a stale chunk, and none
fails meanwhile. A store that takes one process refuses the other with the name of the holder.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import forking
import pytest
from projects import Project

from ragkit.errors import LockedError

SHARED = ("", "vector_store: faiss\nkeyword_store: tantivy", "vector_store: memory\nkeyword_store: bm25")
"""What the YAML adds to the defaults: stores that many processes may read."""
ALONE = ("vector_store: chroma", "vector_store: qdrant", "vector_store: qdrant-edge")
"""Stores that take one process."""
PAGES, ROUNDS = 30, 6
EDITION = re.compile(r"page (\d+) in edition (\d+)\.")


def page(number: int, edition: int) -> str:
    return f"# Lake {number}\n\nThe lake has fish and reeds, says page {number} in edition {edition}.\n"


def _ingest_when_told(folder: Path, pipe: Connection) -> None:
    """The other process: ingest at every message, and answer with the report or the error."""
    project = Project.at(folder)
    while pipe.recv():
        try:
            pipe.send(project.ingest().to_dict())
        except LockedError as error:
            pipe.send(str(error))


class Writer:
    """Another process that ingests."""

    def __init__(self, project: Project) -> None:
        context = forking.context()
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_ingest_when_told, args=(project.folder, other), daemon=True)
        self.process.start()

    def ingest(self) -> Any:
        self.pipe.send(True)
        assert self.pipe.poll(90), "the other process does not answer"
        return self.pipe.recv()


@contextmanager
def writer(project: Project) -> Iterator[Writer]:
    other = Writer(project)
    try:
        yield other
    finally:
        other.process.kill()
        other.process.join()


@pytest.mark.parametrize("more", SHARED)
def test_searches_go_on_while_another_process_ingests(project: Project, more: str) -> None:
    project.configure(more=more)
    editions = dict.fromkeys(range(PAGES), 1)
    for number in editions:
        project.write(f"{number}.md", page(number, 1))
    told = dict(editions)
    problems: list[str] = []
    asked = [0]
    stop = threading.Event()
    with writer(project) as other, project.open() as pipeline:
        other.ingest()

        def ask() -> None:
            while not stop.wait(0.01):
                known = dict(told)
                try:
                    hits = pipeline.search("Which lake has fish and reeds?", k=10).hits
                except Exception as error:
                    problems.append(repr(error))
                    return
                asked[0] += 1
                for number, edition in (map(int, match.groups()) for hit in hits if (match := EDITION.search(hit.text))):
                    if number not in known:
                        problems.append(f"page {number} is deleted, and was found")
                    elif edition < known[number]:
                        problems.append(f"page {number} was found in edition {edition}, after {known[number]}")
                if len(hits) < 10:
                    problems.append(f"only {len(hits)} hits")

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(ROUNDS):
                gone, *edited = sorted(editions)[turn::6]
                (project.docs / f"{gone}.md").unlink()
                del editions[gone]
                for number in edited:
                    editions[number] += 1
                    project.write(f"{number}.md", page(number, editions[number]))
                report = other.ingest()
                assert (report["documents"]["updated"], report["documents"]["removed"]) == (len(edited), 1)
                told = dict(editions)  # from the report on, nothing else may be found
                time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        final = {
            int(match[1]): int(match[2]) for text in project.hits("lake fish reeds", k=50) if (match := EDITION.search(text))
        }
    assert problems == []
    assert asked[0] > ROUNDS
    assert final == editions


@pytest.mark.parametrize("more", ALONE)
def test_a_store_of_one_process_names_the_holder(project: Project, more: str) -> None:
    project.configure(more=more)
    project.write("0.md", page(0, 1))
    with writer(project) as other:
        other.ingest()
        project.write("0.md", page(0, 2))
        with project.open() as pipeline:
            assert "edition 1" in pipeline.search("lake").hits[0].text
            refused = other.ingest()
            assert isinstance(refused, str), f"no refusal: {refused}"
            assert str(os.getpid()) in refused
            assert more.split(": ")[1] in refused
            assert "→" in refused
        assert other.ingest()["views"][0]["count"] == 1
    assert "edition 2" in project.hits("lake")[0]
