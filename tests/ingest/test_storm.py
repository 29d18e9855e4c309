"""An edit-and-delete storm: queries go on all the while, and never see a deleted text nor too few hits."""

from __future__ import annotations

import random
import re
import threading
import time

import pytest
from projects import Project

EDITION = re.compile(r"page (\d+) in edition (\d+)\.")


def page(number: int, edition: int) -> str:
    return f"# Lake {number}\n\nThe lake has fish and reeds, says page {number} in edition {edition}.\n"


@pytest.mark.timeout(180)
def test_queries_during_a_storm(project: Project) -> None:
    count, rounds = 60, 10
    edition = dict.fromkeys(range(count), 1)
    for number in edition:
        project.write(f"{number}.md", page(number, 1))
    problems: list[str] = []
    asked = [0]
    with project.open() as pipeline:
        pipeline.ingest()
        # what the ledger has committed before a query starts must never be contradicted by its hits
        committed = dict.fromkeys(edition, (1, False))
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                started = time.monotonic()
                known = dict(committed)
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
                time.sleep(max(0.0, 0.03 - (time.monotonic() - started)))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        chance = random.Random(7)
        deleted: set[int] = set()
        for _ in range(rounds):
            alive = [number for number in edition if number not in deleted]
            edits = chance.sample(alive, 8)
            for number in edits:
                edition[number] += 1
                project.write(f"{number}.md", page(number, edition[number]))
            gone = [number for number in chance.sample(alive, 3) if number not in edits]
            for number in gone:
                (project.docs / f"{number}.md").unlink()
            deleted.update(gone)
            report = pipeline.ingest()
            assert (report.documents["updated"], report.documents["removed"]) == (len(edits), len(gone))
            for number in edits:
                committed[number] = (edition[number], False)
            for number in gone:
                committed[number] = (edition[number], True)
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems, problems[:5]
    assert asked[0] > 100
