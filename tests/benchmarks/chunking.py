"""How well each chunker's chunks hold what answers a question, on Chroma's chunking evaluation, and how fast it cuts.

    python tests/benchmarks/chunking.py [--data ../shared/data] [--work FOLDER] [--only NAME,…]

Every chunk's text is embedded alone, without a lead, by the default embedding (MiniLM-L6, which reads 256 tokens), all five
corpora in one index. For each of the 472 questions the chunks are ranked by cosine. *recall*, *precision* and *IoU* are over
characters (`ragkit.evaluate.spans`), means over the questions: of the best five chunks, the collection's usual setting, and
of the best 2,000 tokens, the last chunk cut off there, so that every chunker hands over as much. `--work` keeps the vectors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode

from ragkit.builtin import chunkers, nested, structure
from ragkit.components import Component, Kind, Spec
from ragkit.evaluate.spans import Overlap, overlap
from ragkit.testing import build_context
from ragkit.words import counting

BEST = 5
BUDGET_TOKENS = 2_000
ROUNDS = 3
BATCH = 64

OFFERED: dict[str, Component] = {
    component.name: component for module in (chunkers, structure, nested) for component in module.ragkit_chunkers()
}
CONFIGURED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "sentence": ("sentence", {}),
    "sentence, size 128": ("sentence", {"size": 128}),
    "sentence, size 64": ("sentence", {"size": 64, "overlap": 0}),
    "token": ("token", {}),
    "recursive": ("recursive", {}),
    "recursive, 400 characters": ("recursive", {"unit": "characters", "size": 400, "overlap": 0}),
    "markdown": ("markdown", {}),
    "html": ("html", {}),
    "code": ("code", {}),
    "semantic": ("semantic", {}),
    "sentence_window": ("sentence_window", {}),
    "hierarchical": ("hierarchical", {}),
    "two_stage": ("two_stage", {}),
    "by_category": ("by_category", {}),
    "adaptive": ("adaptive", {}),
}


@dataclass(frozen=True)
class Chunk:
    document: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Question:
    text: str
    relevant: Mapping[str, list[tuple[int, int]]]


class Vectors:
    """The embedding behind a cache in one file; `fresh` embeds past it."""

    def __init__(self, model: Any, path: Path) -> None:
        self._model = model
        self._file = sqlite3.connect(path)
        self._file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
        self.fresh = False

    def get_text_embedding_batch(self, texts: Sequence[str]) -> list[list[float]]:
        return self.of(texts).tolist()

    def of(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        keys = [hashlib.blake2b(f"{query}:{text}".encode(), digest_size=16).digest() for text in texts]
        known: dict[bytes, bytes] = {}
        for key in set(keys) if not self.fresh else ():
            row = self._file.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
            if row:
                known[key] = row[0]
        todo = sorted(
            {key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items(), key=lambda i: len(i[1])
        )
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            words = [text for _, text in batch]
            found = (
                [self._model.get_query_embedding(text) for text in words]
                if query
                else self._model.get_text_embedding_batch(words)
            )
            made = {key: np.asarray(vector, np.float32).tobytes() for (key, _), vector in zip(batch, found, strict=True)}
            known |= made
            if not self.fresh:
                self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", made.items())
                self._file.commit()
        return np.stack([np.frombuffer(known[key], np.float32) for key in keys])


def read(folder: Path) -> tuple[list[Document], list[Question]]:
    documents = [
        Document(
            text=path.read_bytes().decode(),
            id_=path.stem,
            metadata={"format": "markdown", "category": "article", "uri": path.name},
        )
        for path in sorted((folder / "corpora").glob("*.md"))
    ]
    questions = []
    for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        spans = [(one["start_index"], one["end_index"]) for one in record["references"]]
        questions.append(Question(record["text"], {record["corpus_id"]: spans}))
    return documents, questions


def cut(parser: Any, documents: Sequence[Document]) -> list[Chunk]:
    texts = {document.id_: document.text for document in documents}
    chunks = []
    for node in parser.get_nodes_from_documents(list(documents)):
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        start = node.start_char_idx
        assert start is not None
        assert texts[node.ref_doc_id][start : start + len(text)] == text
        chunks.append(Chunk(node.ref_doc_id, start, start + len(text), text))
    return chunks


def within(ranked: Sequence[Chunk], tokenizer: Any, tokens: int) -> list[Chunk]:
    """The best chunks up to so many tokens; the last one is cut off there."""
    taken = []
    for chunk in ranked:
        count = tokenizer.count([chunk.text])[0]
        if count > tokens:
            end = tokenizer.offsets(chunk.text)[tokens - 1][1] if tokens else 0
            return [*taken, Chunk(chunk.document, chunk.start, chunk.start + end, chunk.text[:end])] if end else taken
        taken.append(chunk)
        tokens -= count
    return taken


def judged(found: Sequence[Chunk], question: Question) -> Overlap:
    return overlap(((chunk.document, (chunk.start, chunk.end)) for chunk in found), question.relevant)


def measure(chunks: Sequence[Chunk], questions: Sequence[Question], vectors: Vectors, tokenizer: Any) -> dict[str, float]:
    matrix = vectors.of([chunk.text for chunk in chunks])
    asked = vectors.of([question.text for question in questions], query=True)
    best, same = [], []
    for question, scores in zip(questions, asked @ matrix.T, strict=True):
        ranked = [chunks[place] for place in np.argsort(-scores, kind="stable")[:1_000]]
        best.append(judged(ranked[:BEST], question))
        same.append(judged(within(ranked, tokenizer, BUDGET_TOKENS), question))
    counts = tokenizer.count([chunk.text for chunk in chunks])
    return {
        "chunks": len(chunks),
        "tokens": statistics.mean(counts),
        "cut": sum(count + tokenizer.special_tokens > tokenizer.max_tokens for count in counts) / len(counts),
        **{f"{name}@5": statistics.mean(getattr(one, name) for one in best) for name in ("recall", "precision", "iou")},
        **{f"{name}@2k": statistics.mean(getattr(one, name) for one in same) for name in ("recall", "iou")},
    }


def speed(make: Callable[[], Any], documents: Sequence[Document], vectors: Vectors, *, embeds: bool) -> float:
    """Chunks per second, the best of three; one that embeds cuts the shortest two documents, without the cache."""
    taken = sorted(documents, key=lambda document: len(document.text))[:2] if embeds else documents
    vectors.fresh = embeds
    rates = []
    for _ in range(1 if embeds else ROUNDS):
        parser = make()
        started = time.perf_counter()
        count = len(parser.get_nodes_from_documents(list(taken)))
        rates.append(count / (time.perf_counter() - started))
    vectors.fresh = False
    return max(rates)


def row(name: str, seen: Mapping[str, float], rate: float) -> str:
    numbers = "".join(f" {seen[key]:.3f} |" for key in ("recall@5", "precision@5", "iou@5", "recall@2k", "iou@2k"))
    return f"| {name} | {seen['chunks']:,.0f} | {seen['tokens']:.0f} | {seen['cut']:.0%} |{numbers} {rate:,.0f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=None, help="keeps the vectors for the next run")
    parser.add_argument("--only", default="", help="names of rows, separated by semicolons")
    given = parser.parse_args()
    folder = given.data / "chroma_chunking"
    if not folder.is_dir():
        print(f"skipped: {folder} is not there; name the data with --data")
        return 0
    work = given.work or Path(tempfile.mkdtemp(prefix="ragkit-chunking-"))
    work.mkdir(parents=True, exist_ok=True)
    from ragkit_huggingface import ragkit_embeddings

    component = ragkit_embeddings()[0]
    options = component.options()
    plain = build_context(work / "model")
    assert component.tokenizer is not None
    tokenizer = counting(component.tokenizer(options, plain))
    vectors = Vectors(component.build(options, plain), work / "vectors.sqlite")
    documents, questions = read(folder)

    def builder(use: str, said: Mapping[str, Any]) -> Callable[[], Any]:
        spec = Spec(Kind.CHUNKER, OFFERED[use], OFFERED[use].options.model_validate(said), use)
        context = build_context(work / "context", tokenizer=tokenizer, embedding=vectors)  # type: ignore[arg-type]
        return lambda: context.build(spec)

    rows: dict[str, tuple[Callable[[], Any], bool]] = {
        f"`{name}`": (builder(use, said), "embeds" in OFFERED[use].capabilities) for name, (use, said) in CONFIGURED.items()
    }
    rows["SentenceSplitter, default (1,024)"] = (SentenceSplitter, False)
    rows["SentenceSplitter, 256 tokens"] = (lambda: SentenceSplitter(chunk_size=256, chunk_overlap=32), False)
    wanted = {f"`{name}`" for name in given.only.split(";") if name}
    print("| chunker | chunks | tokens | cut off | recall@5 | precision@5 | IoU@5 | recall, 2,000 tokens | IoU | chunks/s |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for name, (make, embeds) in rows.items():
        if wanted and name not in wanted:
            continue
        seen = measure(cut(make(), documents), questions, vectors, tokenizer)
        print(row(name, seen, speed(make, documents, vectors, embeds=embeds)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
