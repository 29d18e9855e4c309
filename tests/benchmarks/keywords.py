"""What each keyword store costs through ragkit, and through its own client: both sides in one run.

    python tests/benchmarks/keywords.py --documents 1000000
    python tests/benchmarks/keywords.py --stores tantivy --documents 50000 --json

Builds every store twice in a temporary folder: through ragkit's plugin as an ingest does (batches of 256, a flush after each
where the store is incremental, else one at the end), and with the native client as its documentation shows (bm25s with its
numba backend). Then one process asks both in turns, 500 questions for the ids and scores of their 100 best, one at a time.
`score` is the true score of 100 given ids. An update replaces 100 documents; it is over when a store that was open before finds
them. `shared` is how many of its 100 hits the native client has too (it has no stemmer, and other k1 and b or another analyzer).

Memory is the most that a process ever held, its mapped files included: one that builds the store, one that opens it and asks 50
questions, one that updates it. `--hydrate` adds what ragkit's ledger takes to make nodes with texts of 100 hits.

The documents have 80 words drawn by Zipf's law from 200,000; the most frequent 33 are English stop words. A question has six
words of one document, none of them a stop word.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

WORDS_EACH = 80
VOCABULARY = 200_000
TOP = 100
QUESTIONS = 500
INGEST_BATCH = 256
CHANGED = 100
BLOCK = 1_000
STOP_WORDS = [
    "the", "of", "and", "to", "a", "in", "is", "that", "for", "it", "was", "as", "on", "with", "be", "by", "at", "this", "are",
    "or", "not", "but", "they", "an", "will", "if", "there", "their", "into", "such", "no", "then", "these",
]  # fmt: skip
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprtvz" for vowel in "aeiou"]

Ask = Callable[[str], Sequence[tuple[str, float]]]
"""Answers a question with the ids and scores of the best, best first."""


@cache
def vocabulary() -> list[str]:
    """The words by descending frequency."""
    words = list(STOP_WORDS)
    for number in range(VOCABULARY - len(words)):
        syllables, rest = [], number + 2 * len(_SYLLABLES) ** 2
        while rest:
            rest, last = divmod(rest, len(_SYLLABLES))
            syllables.append(_SYLLABLES[last])
        words.append("".join(syllables))
    return words


def texts(start: int, end: int, seed: int = 1) -> Iterator[str]:
    """The documents from `start` to `end`; the same for every run."""
    words = vocabulary()
    cumulated = np.cumsum(1.0 / np.arange(1, VOCABULARY + 1))
    for block in range(start // BLOCK, -(-end // BLOCK)):
        drawn = np.random.default_rng((seed, block)).random((BLOCK, WORDS_EACH)) * cumulated[-1]
        rows = np.searchsorted(cumulated, drawn)
        for number in range(max(start - block * BLOCK, 0), min(end - block * BLOCK, BLOCK)):
            yield " ".join([words[i] for i in rows[number].tolist()])


def questions(count: int, documents: int, seed: int = 2) -> list[str]:
    """Six words of a document each."""
    chance, stop = random.Random(seed), {*STOP_WORDS}
    asked = []
    for _ in range(count):
        row = chance.randrange(documents)
        words = sorted({*next(texts(row, row + 1)).split()} - stop)
        asked.append(" ".join(chance.sample(words, 6)))
    return asked


def name(row: int) -> str:
    """The id of a document, as chunks have them."""
    return str(UUID(int=(row * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))


class Native(ABC):
    """A client used as its documentation shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def build(self, count: int) -> None: ...

    @abstractmethod
    def open(self) -> Ask: ...


class NativeTantivy(Native):
    def _index(self) -> Any:
        import tantivy

        builder = tantivy.SchemaBuilder()
        builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
        builder.add_text_field("body")
        self.folder.mkdir(parents=True, exist_ok=True)
        return tantivy.Index(builder.build(), path=str(self.folder))

    def build(self, count: int) -> None:
        import tantivy

        writer = self._index().writer()
        for row, text in enumerate(texts(0, count)):
            writer.add_document(tantivy.Document(id=name(row), body=text))
        writer.commit()
        writer.wait_merging_threads()

    def open(self) -> Ask:
        index = self._index()
        searcher = index.searcher()

        def ask(question: str) -> list[tuple[str, float]]:
            hits = searcher.search(index.parse_query(question, ["body"]), TOP).hits
            return [(searcher.doc(address)["id"][0], score) for score, address in hits]

        return ask


class NativeBM25s(Native):
    def build(self, count: int) -> None:
        import bm25s

        tokens = bm25s.tokenize(list(texts(0, count)), stopwords="en", show_progress=False)
        index = bm25s.BM25(backend="numba")
        index.index(tokens, show_progress=False)
        index.save(str(self.folder))

    def open(self) -> Ask:
        import bm25s

        index = bm25s.BM25.load(str(self.folder), mmap=True)
        index.backend = "numba"
        index.activate_numba_scorer()
        names = [name(row) for row in range(index.scores["num_docs"])]

        def ask(question: str) -> list[tuple[str, float]]:
            tokens = bm25s.tokenize(question, stopwords="en", show_progress=False, return_ids=False)
            rows, scores = index.retrieve(tokens, k=TOP, show_progress=False)
            return [(names[row], score) for row, score in zip(rows[0].tolist(), scores[0].tolist(), strict=True)]

        return ask


CONTENDERS: dict[str, tuple[str, type[Native]]] = {
    "bm25": ("ragkit_bm25", NativeBM25s),
    "tantivy": ("ragkit_tantivy", NativeTantivy),
}


def ragkit_store(store: str, folder: Path) -> Any:
    """The store as ragkit opens it, and whether it is incremental."""
    from ragkit.testing import build_context

    component = import_module(CONTENDERS[store][0]).ragkit_keyword_stores()[0]
    return component.build(component.options(), build_context(folder)), component.capabilities["incremental"]


def node(row: int, text: str) -> Any:
    """A chunk with some metadata, as an ingest hands it over."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    return TextNode(
        id_=name(row),
        text=text,
        metadata={"source": "docs", "uri": f"guide/{row // 10}.md", "year": 2000 + row % 25},
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"d{row // 10}")},
    )


def most_memory() -> float:
    """MiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def build(store: str, side: str, folder: Path, count: int) -> dict[str, float]:
    """Build one side: seconds, and memory."""
    started = time.perf_counter()
    if side == "native":
        CONTENDERS[store][1](folder).build(count)
    else:
        opened, incremental = ragkit_store(store, folder)
        batch = []
        for row, text in enumerate(texts(0, count)):
            batch.append(node(row, text))
            if len(batch) == INGEST_BATCH or row == count - 1:
                opened.upsert(batch)
                batch = []
                if incremental:
                    opened.flush()
        opened.flush()
    return {"build_s": time.perf_counter() - started, "build_memory": most_memory()}


def asking(store: str, side: str, folder: Path) -> Ask:
    """How one side is asked for ids and scores."""
    if side == "native":
        return CONTENDERS[store][1](folder).open()
    from llama_index.core.vector_stores.types import VectorStoreQuery

    opened, _ = ragkit_store(store, folder)
    return lambda question: list(zip(*opened.search_ids(VectorStoreQuery(query_str=question, similarity_top_k=TOP)), strict=True))


def race(store: str, folders: dict[str, Path], count: int) -> dict[str, dict[str, float]]:
    """Ask both sides in turns: milliseconds, and how many of ragkit's ids the native client has too."""
    asked = questions(QUESTIONS, count)
    sides = {side: asking(store, side, folder) for side, folder in folders.items()}
    taken: dict[str, list[float]] = {side: [] for side in sides}
    shared = 0
    for ask in sides.values():
        for question in asked[:50]:
            ask(question)
    for number, question in enumerate(asked):
        found: dict[str, set[str]] = {}
        for side in list(sides) if number % 2 else list(reversed(sides)):
            started = time.perf_counter()
            hits = sides[side](question)
            taken[side].append((time.perf_counter() - started) * 1000)
            found[side] = {id_ for id_, _ in hits}
        shared += len(found["ragkit"] & found["native"])
    times = {side: spread(values) for side, values in taken.items()}
    times["ragkit"]["shared"] = shared / (TOP * len(asked))
    return times


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"p50": statistics.median(values), "p95": sorted(values)[int(0.95 * len(values))]}


def scoring(store: str, folder: Path, count: int) -> dict[str, float]:
    """Milliseconds for the scores of 100 given ids, those that another question found."""
    asked, ask = questions(100, count, seed=3), asking(store, "ragkit", folder)
    opened, _ = ragkit_store(store, folder)
    taken = []
    for number, question in enumerate(asked):
        ids = [id_ for id_, _ in ask(asked[number - 1])]
        started = time.perf_counter()
        opened.score_ids(question, ids)
        taken.append((time.perf_counter() - started) * 1000)
    return {f"score_{key}": value for key, value in spread(taken).items()}


def memory(store: str, side: str, folder: Path, count: int) -> float:
    """MiB of a process that opens a store and asks it."""
    ask = asking(store, side, folder)
    for question in questions(50, count, seed=4):
        ask(question)
    return most_memory()


def update(store: str, folder: Path, count: int) -> dict[str, float]:
    """Seconds until 100 replaced documents are found by a store that was open before; and the memory that it took."""
    writer, _ = ragkit_store(store, folder)
    ask = asking(store, "ragkit", folder)
    ask("warm")
    chosen = random.Random(5).sample(range(count), CHANGED)
    nodes = [node(row, f"replacement {text}") for row, text in zip(chosen, texts(0, CHANGED, seed=6), strict=True)]
    started = time.perf_counter()
    writer.upsert(nodes)
    writer.flush()
    seen = {id_ for id_, _ in ask("replacement")}
    assert seen == {name(row) for row in chosen}
    return {"update_s": time.perf_counter() - started, "update_memory": most_memory()}


def hydration(count: int) -> dict[str, float]:
    """What it takes to make nodes with texts of 100 hits, from a ledger of `count` chunks."""
    sys.path.insert(0, str(Path(__file__).parent))
    ledgers = import_module("ledger")

    from ragkit.query.hydrate import hydrate
    from ragkit.state.generations import Generations
    from ragkit.state.ledger import Ledger
    from ragkit.state.reader import Reader
    from ragkit.state.sqlite import SqliteStorage

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(SqliteStorage(Path(folder)))
        generation = Generations(ledger, "benchmark").ensure(ledgers.WANTED)
        ledgers.fill(ledger, generation.chunking, count)
        reader = Reader(ledger, generation)
        ids = [chunk.id for chunk in reader.all()]
        chance, taken = random.Random(1), []
        for _ in range(300):
            chosen = chance.sample(ids, TOP)
            started = time.perf_counter()
            assert len(hydrate(reader, chosen)) == TOP
            taken.append((time.perf_counter() - started) * 1000)
        ledger.close()
    return spread(taken)


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def size(folder: Path) -> float:
    """MiB on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def measured(store: str, count: int, root: Path) -> Iterator[dict[str, Any]]:
    """One row for each side of a store."""
    folders = {side: root / f"{store}-{side}" for side in ("ragkit", "native")}
    rows: dict[str, dict[str, Any]] = {side: {"store": store, "side": side} for side in folders}
    for side, folder in folders.items():
        rows[side] |= alone(build, store, side, folder, count)
        rows[side] |= {"disk": size(folder), "memory": alone(memory, store, side, folder, count)}
    for side, times in alone(race, store, folders, count).items():
        rows[side] |= times
    rows["ragkit"] |= alone(scoring, store, folders["ragkit"], count)
    rows["ragkit"] |= alone(update, store, folders["ragkit"], count)
    yield from rows.values()


COLUMNS = {
    "build_s": "build s", "build_memory": "MiB", "p50": "p50 ms", "p95": "p95 ms", "score_p50": "score ms", "memory": "MiB",
    "update_s": "update s", "update_memory": "MiB", "disk": "disk MiB", "shared": "shared",
}  # fmt: skip


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--stores", default=",".join(CONTENDERS), help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--hydrate", action="store_true", help="fill a ledger with as many chunks too: takes minutes")
    parser.add_argument("--folder", type=Path, help="where to build (default: a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    rows = []
    for store in given.stores.split(","):
        with tempfile.TemporaryDirectory(dir=given.folder) as root:
            rows += list(measured(store, given.documents, Path(root)))
    nodes = alone(hydration, given.documents) if given.hydrate else None
    if given.json:
        print(json.dumps({"documents": given.documents, "rows": rows, "hydrate": nodes}, indent=2))
        return
    print(f"{given.documents:,} documents of {WORDS_EACH} words, top {TOP}")
    print(f"{'store':8} {'side':7}" + "".join(f"{title:>9}" for title in COLUMNS.values()))
    for row in rows:
        cells = (f"{row[key]:.2f}" if key in row else "" for key in COLUMNS)
        print(f"{row['store']:8} {row['side']:7}" + "".join(f"{cell:>9}" for cell in cells))
    if nodes is not None:
        print(f"hydrating {TOP} hits to nodes: p50 {nodes['p50']:.2f} ms, p95 {nodes['p95']:.2f} ms")


if __name__ == "__main__":
    main()
