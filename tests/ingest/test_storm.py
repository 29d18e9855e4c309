"""An edit-and-delete storm: queries go on all the while, and never see a deleted text nor too few hits.

What the ledger has committed holds for every query that starts afterwards, also while the stores still have the old
chunks. So what counts is what the ledger has when the ingest begins to write to a store, and it is held there for a moment.
"""

from __future__ import annotations

import random
import re
import sqlite3
import sys
import threading
import time
import zlib
from contextlib import closing
from typing import Any

import pytest
from projects import Project

EDITION = re.compile(r"page (\d+) in edition (\d+)\.")
PAGES, ROUNDS, THREADS, PAUSE_S = 60, 10, 8, 0.04
LAG_S = 0.3


def page(number: int, edition: int) -> str:
    return f"# Lake {number}\n\nThe lake has fish and reeds, says page {number} in edition {edition}.\n"


class Storm:
    """The pages as they are on disk, and what every query has to know of them by now."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.edition = dict.fromkeys(range(PAGES), 1)
        self.deleted: set[int] = set()
        self.committed = dict.fromkeys(self.edition, (1, False))
        self.chance = random.Random(7)
        self.held = 0
        self.watching = True
        for number in self.edition:
            project.write(f"{number}.md", page(number, 1))

    def strike(self) -> tuple[int, int]:
        """Edit eight pages and delete three; how many each in the end."""
        alive = [number for number in self.edition if number not in self.deleted]
        edits = self.chance.sample(alive, 8)
        gone = [number for number in self.chance.sample(alive, 3) if number not in edits]
        for number in edits:
            self.edition[number] += 1
            self.project.write(f"{number}.md", page(number, self.edition[number]))
        for number in gone:
            (self.project.docs / f"{number}.md").unlink()
        self.deleted.update(gone)
        return len(edits), len(gone)

    def listen(self, event: str, args: tuple[Any, ...]) -> None:
        """What the ledger has before a store is written: from here on no query may contradict it."""
        if self.watching and event == "ragkit.boundary" and args[0] == "store.delete":
            self.committed = self.in_ledger()
            self.held += 1
            time.sleep(LAG_S)

    def in_ledger(self) -> dict[int, tuple[int, bool]]:
        """The edition of each page, and whether it is deleted."""
        known = dict.fromkeys(self.edition, (0, True))
        with closing(sqlite3.connect(self.project.folder / ".ragkit" / "ledger.db")) as ledger:
            for (text,) in ledger.execute("SELECT text FROM documents WHERE current"):
                match = EDITION.search(zlib.decompress(text).decode())
                assert match is not None
                known[int(match[1])] = (int(match[2]), False)
        return known


@pytest.mark.timeout(180)
@pytest.mark.parametrize("retriever", ["hybrid", "dense"])
def test_queries_during_a_storm(project: Project, retriever: str) -> None:
    """`hybrid` has candidates to spare; `dense` asks for just as many as are wanted, and has to fetch more."""
    storm = Storm(project)
    problems: list[str] = []
    asked = [0]
    stop = threading.Event()
    with project.open(overrides=(f"retriever={retriever}",)) as pipeline:
        pipeline.ingest()

        def ask() -> None:
            while not stop.wait(PAUSE_S):
                known = storm.committed
                try:
                    hits = pipeline.search("Which lake has fish and reeds?", k=20).hits
                except Exception as error:
                    problems.append(repr(error))
                    return
                if len(hits) < 20:
                    problems.append(f"{len(hits)} hits")
                for hit in hits:
                    match = EDITION.search(hit.text)
                    assert match is not None
                    number, seen = int(match[1]), int(match[2])
                    least, deleted = known[number]
                    if deleted or seen < least:
                        problems.append(f"page {number}: saw edition {seen}, {least} was committed (deleted: {deleted})")
                asked[0] += 1

        sys.addaudithook(storm.listen)
        threads = [threading.Thread(target=ask) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(ROUNDS):
                edits, gone = storm.strike()
                report = pipeline.ingest()
                assert (report.documents["updated"], report.documents["removed"]) == (edits, gone)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            storm.watching = False  # an audit hook stays for good
    assert not problems, problems[:5]
    assert storm.held >= 2 * ROUNDS, "both stores lagged in every round"
    assert asked[0] > 200
