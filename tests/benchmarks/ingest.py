"""How fast an ingest is without a model and a store: from files to applied views, and when nothing has changed.

    python tests/benchmarks/ingest.py --chunks 20000
    python tests/benchmarks/ingest.py --chunks 1000000 --work /tmp/ingest
    python tests/benchmarks/ingest.py --unchanged 100000
    python tests/benchmarks/ingest.py --database postgresql://postgres@localhost/postgres

Writes documents of about ten chunks each (English-like sentences from a fixed seed), ingests them with the fake embedding, stores
that count what they are given and keep nothing, and the `sentence` chunker, and prints chunks per second, peak memory, and
the time per chunk in each tenth of the run. Beside it stands what the chunker makes alone in the same run. `--unchanged`
prints how long a second ingest takes that finds every file as it was. With `--database` each is done once more with a state
there, in a schema of its own, which stays.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, Document
from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQuery, VectorStoreQueryResult

from ragkit import BuildContext, Component, Options, Pipeline, hookimpl
from ragkit.host import Host
from ragkit.testing import plugin

PER_DOCUMENT = 10
SENTENCES = 95
"""About ten chunks of 246 words."""
FOLDER = 1_000

CONFIG = """\
name: benchmark
sources: [{use: files, path: docs}]
chunker: {use: sentence, size: 246}
embedding: fake
vector_store: nothing
keyword_store: nothing
"""


class Nothing(BasePydanticVectorStore):
    """Counts what it is given."""

    stores_text: bool = False
    is_embedding_query: bool = True
    _held: int = PrivateAttr(default=0)
    _mark: dict[str, str] | None = PrivateAttr(default=None)

    @property
    def client(self) -> Any:
        return None

    def upsert(self, nodes: Sequence[BaseNode]) -> None:
        self._held += len(nodes)

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        self.upsert(nodes)
        return [node.node_id for node in nodes]

    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **kwargs: Any) -> None:
        self._held -= len(node_ids or ())

    def delete(self, ref_doc_id: str, **kwargs: Any) -> None:
        raise NotImplementedError

    def count(self) -> int:
        return self._held

    def marker(self) -> Mapping[str, str] | None:
        return self._mark

    def mark(self, values: Mapping[str, str]) -> None:
        self._mark = dict(values)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        return VectorStoreQueryResult(ids=[], similarities=[])


class Stores:
    """The stores, as a plugin."""

    made: dict[str, Nothing]

    def __init__(self) -> None:
        self.made = {}

    def _build(self, options: Options, context: BuildContext) -> Nothing:
        return self.made.setdefault(context.collection, Nothing())

    @hookimpl
    def ragkit_vector_stores(self) -> list[Component]:
        return [Component("nothing", Options, self._build, capabilities={"processes": "many_readers", "metrics": ["cosine"]})]

    @hookimpl
    def ragkit_keyword_stores(self) -> list[Component]:
        return [Component("nothing", Options, self._build, capabilities={"processes": "many_readers"})]


def texts(count: int) -> Iterator[str]:
    """Documents with a title, paragraphs and sentences of 8 to 40 words."""
    chance = random.Random(1)
    words = ["".join(chance.choices("aeiourstlnmdpcbgfhvkw", k=chance.randint(2, 10))) for _ in range(20_000)]
    common = words[:300]
    for number in range(count):
        sentences = []
        for _ in range(SENTENCES):
            length = chance.randint(8, 40)
            picked = chance.choices(common, k=length // 2) + chance.choices(words, k=length - length // 2)
            sentences.append(" ".join(picked).capitalize() + ".")
        paragraphs = [" ".join(sentences[start : start + 6]) for start in range(0, SENTENCES, 6)]
        yield f"# Document {number}\n\n" + "\n\n".join(paragraphs) + "\n"


def write(folder: Path, made: Iterator[str]) -> None:
    for number, text in enumerate(made):
        place = folder / f"{number // FOLDER:04}"
        if number % FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:07}.md").write_text(text, encoding="utf-8")


def alone(pipeline: Pipeline, count: int) -> float:
    """Chunks per second of the chunker, documents and nodes included."""
    chunker: Any = pipeline._index.wiring.build(pipeline.config.chunker)
    documents = [Document(text=text, metadata={"format": "markdown"}) for text in texts(count)]
    began = time.perf_counter()
    return len(chunker.get_nodes_from_documents(documents)) / (time.perf_counter() - began)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def throughput(work: Path, chunks: int, state: str) -> None:
    write(work / "docs", texts(chunks // PER_DOCUMENT))
    (work / "ragkit.yaml").write_text(CONFIG + state, encoding="utf-8")
    times: list[tuple[int, float, float]] = []

    def progress(stage: str, done: int, total: int | None, detail: str = "") -> None:
        if stage == "keyword":
            times.append((done, time.perf_counter(), megabytes()))

    with Pipeline.from_yaml(work / "ragkit.yaml", host=Host(plugins=[plugin, Stores()])) as pipeline:
        print(f"the chunker alone: {alone(pipeline, 200):,.0f} chunks/s", flush=True)
        before = megabytes()
        began = time.perf_counter()
        report = pipeline.ingest(progress=progress)
        took = time.perf_counter() - began
    total = report.chunks["total"]
    print(f"{total:,} chunks in {took:.1f} s: {total / took:,.0f} chunks/s; peak memory {before:.0f} to {megabytes():.0f} MB")
    show_tenths(times, began)


def show_tenths(times: list[tuple[int, float, float]], began: float) -> None:
    """The time per chunk and the peak memory in each tenth of what was applied to the keyword view."""
    done, last, applied = 0, began, 0
    marks: list[tuple[int, float, float]] = []
    for count, moment, memory in times:  # each call of apply counts from 0 again
        done += count if count < applied or not marks else count - applied
        applied = count
        marks.append((done, moment, memory))
    step = max(1, done // 10)
    goal, before = step, 0
    for count, moment, memory in marks:
        if count >= goal:
            print(f"to {count:>9,}: {(moment - last) * 1e6 / (count - before):6.0f} µs per chunk, peak {memory:.0f} MB")
            last, before, goal = moment, count, goal + step


def unchanged(work: Path, files: int, state: str) -> None:
    write(work / "docs", (f"# Document {number}\n\nA short text, number {number}.\n" for number in range(files)))
    (work / "ragkit.yaml").write_text(CONFIG + state, encoding="utf-8")
    time.sleep(2.5)  # what changed a moment ago is read again
    with Pipeline.from_yaml(work / "ragkit.yaml", host=Host(plugins=[plugin, Stores()])) as pipeline:
        began = time.perf_counter()
        pipeline.ingest()
        print(f"{files:,} files: the first ingest {time.perf_counter() - began:.1f} s", flush=True)
        began = time.perf_counter()
        report = pipeline.ingest()
        assert report.documents["unchanged"] == files
        print(f"{files:,} files: nothing changed, {time.perf_counter() - began:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=20_000, help="make documents for so many")
    parser.add_argument("--unchanged", type=int, metavar="FILES", help="measure an ingest that finds nothing new instead")
    parser.add_argument("--database", metavar="URL", help="do the same with a state in this PostgreSQL, too")
    parser.add_argument("--work", type=Path, help="an empty folder to work in (default: a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = chosen.work or Path(temporary)
        states = {"folder": "", "database": f"state: {chosen.database}?schema=benchmark_{uuid4().hex[:8]}\n"}
        for kind, state in states.items() if chosen.database else [("folder", "")]:
            place = work / kind
            place.mkdir(parents=True, exist_ok=True)
            print(f"state in a {kind}")
            if chosen.unchanged:
                unchanged(place, chosen.unchanged, state)
            else:
                throughput(place, chosen.chunks, state)


if __name__ == "__main__":
    main()
