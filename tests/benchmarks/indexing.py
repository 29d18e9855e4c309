"""From documents to an index that answers: ragkit against LlamaIndex's own way, end to end.

    python tests/benchmarks/indexing.py --data ../shared/data                    # SciFact, all 5,183 documents
    python tests/benchmarks/indexing.py --data ../shared/data --documents 1000 --rounds 5

The two sides are those of fusion.py: the same model, the same Chroma, a keyword index each. Both take a few documents first, so
that neither is charged for what is loaded once. With several rounds the sides go in turn, and the median round counts: what else
a machine does falls on both. `fusion.py --only quality` holds what they find against each other.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from fusion import open_llamaindex, open_ragkit

WARM = 20


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def ragkit(folder: Path, work: Path, most: int | None) -> None:
    open_ragkit(folder, work, most)[1].close()


def llamaindex(folder: Path, work: Path, most: int | None) -> None:
    work.mkdir(parents=True)
    open_llamaindex(folder, work, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of evaluation data")
    parser.add_argument("--collection", default="scifact", help="a folder there, in BEIR's layout")
    parser.add_argument("--documents", type=int, help="index so many documents")
    parser.add_argument("--rounds", type=int, default=1, help="both sides in turn, so often")
    chosen = parser.parse_args()
    folder = chosen.data / chosen.collection
    if not folder.is_dir():
        parser.exit(0, f"skipped: {folder} does not exist\n")
    asyncio.set_event_loop(asyncio.new_event_loop())
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        ragkit(folder, work / "warm-ours", WARM)
        llamaindex(folder, work / "warm-theirs", WARM)
        rounds = []
        for turn in range(chosen.rounds):
            theirs = timed(partial(llamaindex, folder, work / f"theirs-{turn}", chosen.documents))
            ours = timed(partial(ragkit, folder, work / f"ours-{turn}", chosen.documents))
            rounds.append(theirs / ours)
            print(f"LlamaIndex {theirs:.1f} s, ragkit {ours:.1f} s: {theirs / ours:.2f} times as fast", flush=True)
    print(f"median of {len(rounds)}: {median(rounds):.2f} times as fast")


if __name__ == "__main__":
    main()
