"""What a query costs in the ledger: which hits are alive, and reading the texts of the last ones.

    python tests/benchmarks/ledger.py --chunks 100000
    python tests/benchmarks/ledger.py --chunks 100000 --database postgresql://postgres@localhost/postgres

Fills a ledger in a temporary folder with documents of 10 chunks each and prints median and 95th percentile of 200 calls, in
milliseconds; with `--database` for a ledger there, too, in a schema of its own, which stays.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from ragkit.state.documents import NewChunk, NewDocument
from ragkit.state.generations import Generations, Wanted, WantedView
from ragkit.state.hashing import chunk_id, digest, document_id
from ragkit.state.ledger import Ledger
from ragkit.state.postgres import PostgresStorage
from ragkit.state.reader import Reader
from ragkit.state.sqlite import SqliteStorage
from ragkit.state.storage import Storage
from ragkit.state.storing import Cut, replace_chunks, store_documents

PER_DOCUMENT = 10
WANTED = Wanted("c" * 32, WantedView("vector", "none", "server", "v" * 32), WantedView("keyword", "none", "server", "k" * 32))


def fill(ledger: Ledger, chunking: int, count: int) -> None:
    """Documents of ten chunks of about 900 characters each."""
    for start in range(0, count // PER_DOCUMENT, 500):
        cut: list[tuple[NewDocument, list[NewChunk]]] = []
        with ledger.write() as connection:
            for number in range(start, min(start + 500, count // PER_DOCUMENT)):
                texts = [f"document {number}, part {part}: " + "words " * 145 for part in range(PER_DOCUMENT)]
                identity, text = document_id("benchmark", str(number)), "\n".join(texts)
                new = NewDocument(identity, "benchmark", str(number), text, "", {}, digest(text), digest(""), None)
                chunks = [
                    NewChunk(
                        id=chunk_id(identity, "c", piece, 0), ordinal=part, text=piece, lead="", heading="", start=None, end=None,
                        page=None, truncated=False, input_hash=digest(piece), payload_hash=digest(""),
                    )
                    for part, piece in enumerate(texts)
                ]  # fmt: skip
                cut.append((new, chunks))
            keys = store_documents(connection, [new for new, _ in cut])
            replace_chunks(connection, chunking, [Cut(new.id, key, chunks) for (new, chunks), key in zip(cut, keys, strict=True)])


def timed(call: Callable[[], object], runs: int = 200) -> str:
    """Median and 95th percentile of a call."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    return f"{statistics.median(taken):8.3f} {sorted(taken)[int(0.95 * runs)]:8.3f}"


def measure(storage: Storage, count: int) -> None:
    """Fill a ledger and ask it."""
    chance = random.Random(1)
    ledger = Ledger(storage)
    generation = Generations(ledger, "benchmark").ensure(WANTED)
    fill(ledger, generation.chunking, count)
    reader = Reader(ledger, generation)
    ids = [chunk.id for chunk in reader.all()]
    print(f"{len(ids):,} chunks         median      p95  ms, in {storage.where('ledger')}")
    print(f"which of 100 are alive {timed(lambda: reader.alive(chance.sample(ids, 100)))}")
    print(f"texts of 5             {timed(lambda: reader.chunks(chance.sample(ids, 5)))}")
    print(f"texts of 100           {timed(lambda: reader.chunks(chance.sample(ids, 100)))}")
    print(f"neighbours of one      {timed(lambda: reader.neighbours(chance.choice(ids), 1, 1))}")
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--database", metavar="URL", help="measure a ledger in this PostgreSQL, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(SqliteStorage(Path(folder)), chosen.chunks)
        if chosen.database:
            measure(PostgresStorage(f"{chosen.database}?schema=benchmark_{uuid4().hex[:8]}", Path(folder)), chosen.chunks)


if __name__ == "__main__":
    main()
