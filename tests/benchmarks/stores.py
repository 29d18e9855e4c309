"""What each embedded vector store costs through ragkit, and through its own client: both sides in one run.

    python tests/benchmarks/stores.py --vectors 100000
    python tests/benchmarks/stores.py --stores faiss,chroma --vectors 20000

Builds every store twice in a temporary folder: through ragkit's plugin in the batches of an ingest (a flush after each), and
once with the native client as its documentation shows, both with the same graph (m 16, ef_construction 100, ef_search 400).
Then one process asks both in turns, 500 questions for their 100 nearest, one at a time.
Recall holds the first 10 against an exact search. Memory is what a fresh process grows by while it opens the store and
asks 50 questions; `hydrate` is what ragkit's ledger takes to make nodes with texts of the 100 hits.

The vectors (384 dimensions, of length 1) have 24 directions that matter and noise in all, as embeddings of text have.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

DIMENSION = 384
TOP = 100
QUESTIONS = 500
INGEST_BATCH = 256
M, EF_CONSTRUCTION, EF_SEARCH = 16, 100, 400

Ask = Callable[[Any], Sequence[Any]]
"""Answers a vector with the ids of the nearest, best first."""


def vectors(count: int, seed: int) -> Any:
    """Rows of length 1, of low intrinsic dimension with noise."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(7).normal(size=(24, DIMENSION))
    rows = random.normal(size=(count, 24)) @ directions + 0.8 * random.normal(size=(count, DIMENSION))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def name(row: int) -> str:
    """The id of a row, as chunks have them."""
    return str(UUID(int=row + 1))


class Native(ABC):
    """A client used as its documentation shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def build(self, rows: Any) -> None: ...

    @abstractmethod
    def open(self) -> Ask: ...


class NativeChroma(Native):
    def _collection(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        client = chromadb.PersistentClient(str(self.folder), settings=Settings(anonymized_telemetry=False))
        hnsw: Any = {"space": "cosine", "max_neighbors": M, "ef_construction": EF_CONSTRUCTION, "ef_search": EF_SEARCH}
        return client.get_or_create_collection("native", embedding_function=None, configuration={"hnsw": hnsw})

    def build(self, rows: Any) -> None:
        collection = self._collection()
        for start in range(0, len(rows), 5_000):
            part = rows[start : start + 5_000]
            collection.add(ids=[name(start + i) for i in range(len(part))], embeddings=part)

    def open(self) -> Ask:
        collection = self._collection()
        return lambda vector: collection.query(query_embeddings=[vector], n_results=TOP, include=["distances"])["ids"][0]


class NativeFaiss(Native):
    def build(self, rows: Any) -> None:
        import faiss

        index = faiss.IndexHNSWFlat(DIMENSION, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(index, str(self.folder / "index.faiss"))

    def open(self) -> Ask:
        import faiss

        index = faiss.read_index(str(self.folder / "index.faiss"))
        index.hnsw.efSearch = EF_SEARCH
        names = [name(row) for row in range(index.ntotal)]
        return lambda vector: [names[row] for row in index.search(vector[None], TOP)[1][0]]


class NativeEdge(Native):
    def _config(self) -> Any:
        import qdrant_edge as edge

        hnsw = edge.HnswIndexConfig(m=M, ef_construct=EF_CONSTRUCTION)
        return edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Cosine, hnsw_config=hnsw))

    def build(self, rows: Any) -> None:
        import qdrant_edge as edge

        self.folder.mkdir(parents=True, exist_ok=True)
        shard = edge.EdgeShard.create(str(self.folder), self._config())
        for start in range(0, len(rows), 5_000):
            points = [edge.Point(name(start + i), row.tolist()) for i, row in enumerate(rows[start : start + 5_000])]
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def open(self) -> Ask:
        import qdrant_edge as edge

        shard = edge.EdgeShard.load(str(self.folder))
        params = edge.SearchParams(hnsw_ef=EF_SEARCH)

        def ask(vector: Any) -> list[str]:
            query = edge.Query.Nearest(vector.tolist())
            return [str(hit.id) for hit in shard.query(edge.QueryRequest(query=query, limit=TOP, params=params))]

        return ask


class NativeNumPy(Native):
    def build(self, rows: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        np.save(self.folder / "rows.npy", rows)

    def open(self) -> Ask:
        rows = np.load(self.folder / "rows.npy")
        names = [name(row) for row in range(len(rows))]

        def ask(vector: Any) -> list[str]:
            scores = rows @ vector
            best = np.argpartition(-scores, TOP)[:TOP]
            return [names[row] for row in best[np.argsort(-scores[best])]]

        return ask


CONTENDERS: dict[str, tuple[str, type[Native]]] = {
    "chroma": ("ragkit_chroma", NativeChroma),
    "faiss": ("ragkit_faiss", NativeFaiss),
    "memory": ("ragkit.builtin.memory", NativeNumPy),
    "qdrant-edge": ("ragkit_qdrant", NativeEdge),
}


def ragkit_store(store: str, folder: Path) -> Any:
    """The store as ragkit opens it."""
    from importlib import import_module

    from ragkit.testing import build_context

    offered = import_module(CONTENDERS[store][0]).ragkit_vector_stores()
    component = next(component for component in offered if component.name == store)
    fields = component.options.model_fields
    given = {key: value for key, value in HNSW_OPTIONS.items() if key in fields and store != "memory"}
    return component.build(component.options.model_validate(given), build_context(folder, collection="ragkit-benchmark"))


HNSW_OPTIONS = {"m": M, "ef_construction": EF_CONSTRUCTION, "ef_construct": EF_CONSTRUCTION, "ef_search": EF_SEARCH}


def build(store: str, side: str, folder: Path, count: int) -> float:
    """Build one side; seconds."""
    rows = vectors(count, seed=1)
    started = time.perf_counter()
    if side == "native":
        CONTENDERS[store][1](folder).build(rows)
        return time.perf_counter() - started
    from llama_index.core.schema import TextNode

    opened = ragkit_store(store, folder)
    for start in range(0, count, INGEST_BATCH):
        part = rows[start : start + INGEST_BATCH].tolist()
        opened.upsert([TextNode(id_=name(start + i), embedding=row) for i, row in enumerate(part)])
        opened.flush()
    opened.close()
    return time.perf_counter() - started


def asking(store: str, side: str, folder: Path) -> Ask:
    """How one side is asked for ids and scores."""
    if side == "native":
        return CONTENDERS[store][1](folder).open()
    from llama_index.core.vector_stores.types import VectorStoreQuery

    opened = ragkit_store(store, folder)
    return lambda vector: opened.search_ids(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=TOP))[0]


def race(store: str, folders: dict[str, Path], count: int) -> dict[str, dict[str, float]]:
    """Ask both sides in turns: milliseconds, and recall of the first ten."""
    rows, questions = vectors(count, seed=1), vectors(QUESTIONS, seed=2)
    sides = {side: asking(store, side, folder) for side, folder in folders.items()}
    taken: dict[str, list[float]] = {side: [] for side in sides}
    found: dict[str, int] = dict.fromkeys(sides, 0)
    for ask in sides.values():
        for vector in questions[:20]:
            ask(vector)
    for number, vector in enumerate(questions):
        true = {name(int(row)) for row in np.argsort(-(rows @ vector))[:10]}
        order = list(sides) if number % 2 else list(reversed(sides))
        for side in order:
            started = time.perf_counter()
            ids = sides[side](vector)
            taken[side].append((time.perf_counter() - started) * 1000)
            found[side] += len(true & set(map(str, ids[:10])))
    return {
        side: {
            "p50": statistics.median(times),
            "p95": sorted(times)[int(0.95 * len(times))],
            "recall": found[side] / (10 * len(questions)),
        }
        for side, times in taken.items()
    }


def memory(store: str, side: str, folder: Path) -> float:
    """By how many MiB a process grows that opens a store and asks it."""
    import psutil

    import ragkit.testing  # noqa: F401  what every process of ragkit has loaded does not count

    if store != "memory":
        __import__({"chroma": "chromadb", "faiss": "faiss", "qdrant-edge": "qdrant_edge"}[store])
    process, questions = psutil.Process(), vectors(50, seed=3)
    before = process.memory_info().rss
    ask = asking(store, side, folder)
    for vector in questions:
        ask(vector)
    return float((process.memory_info().rss - before) / 2**20)


def hydration(count: int) -> dict[str, float]:
    """What it takes to make nodes with texts of 100 hits, from a ledger of `count` chunks."""
    import random

    sys.path.insert(0, str(Path(__file__).parent))
    from ledger import WANTED, fill  # type: ignore[import-not-found]

    from ragkit.query.hydrate import hydrate
    from ragkit.state.generations import Generations
    from ragkit.state.ledger import Ledger
    from ragkit.state.reader import Reader
    from ragkit.state.sqlite import SqliteStorage

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(SqliteStorage(Path(folder)))
        generation = Generations(ledger, "benchmark").ensure(WANTED)
        fill(ledger, generation.chunking, count)
        reader = Reader(ledger, generation)
        ids = [chunk.id for chunk in reader.all()]
        chance, taken = random.Random(1), []
        for _ in range(300):
            chosen = chance.sample(ids, TOP)
            started = time.perf_counter()
            assert len(hydrate(reader, chosen)) == TOP
            taken.append((time.perf_counter() - started) * 1000)
        ledger.close()
    return {"p50": statistics.median(taken), "p95": sorted(taken)[int(0.95 * len(taken))]}


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
    built = {side: alone(build, store, side, folder, count) for side, folder in folders.items()}
    asked = alone(race, store, folders, count)
    for side, folder in folders.items():
        more = {"build_s": built[side], "disk": size(folder), "memory": alone(memory, store, side, folder)}
        yield {"store": store, "side": side, **asked[side], **more}


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--stores", default=",".join(CONTENDERS), help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory() as root:
        rows = [row for store in given.stores.split(",") for row in measured(store, given.vectors, Path(root))]
    nodes = alone(hydration, given.vectors)
    if given.json:
        print(json.dumps({"vectors": given.vectors, "rows": rows, "hydrate": nodes}, indent=2))
        return
    print(f"{given.vectors:,} vectors of {DIMENSION} dimensions, top {TOP}")
    print(
        f"{'store':12} {'side':7} {'build s':>8} {'p50 ms':>7} {'p95 ms':>7} {'recall@10':>9} {'disk MiB':>9} {'memory MiB':>10}"
    )
    for row in rows:
        print(
            f"{row['store']:12} {row['side']:7}{row['build_s']:11.1f}{row['p50']:11.2f}{row['p95']:11.2f}{row['recall']:11.3f}"
            f"{row['disk']:11.0f}{row['memory']:11.0f}"
        )
    print(f"hydrating {TOP} hits to nodes: p50 {nodes['p50']:.2f} ms, p95 {nodes['p95']:.2f} ms")


if __name__ == "__main__":
    main()
