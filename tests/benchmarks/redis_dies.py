"""What a Redis that dies in the middle of an ingest costs, against the same ingest without one.

    python tests/benchmarks/redis_dies.py --chunks 10000 --rounds 5

Needs the program `redis-server`. The documents, the fake embedding and the stores are those of ingest.py, so that there is
little else to wait for. Both ingests run in turn, each into a state of its own; Redis is killed when half of the documents
are in.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from ingest import CONFIG, PER_DOCUMENT, Stores, texts, write

from ragkit import Pipeline
from ragkit.host import Host
from ragkit.testing import plugin


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A Redis of its own on a free port, and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
    )
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process, f"redis://127.0.0.1:{port}/0"
    raise TimeoutError("redis-server did not start")


def ingest(folder: Path, documents: int, *, redis: bool) -> float:
    """The seconds of an ingest into a new state."""
    shutil.rmtree(folder / ".ragkit", ignore_errors=True)
    process, more = None, ""
    if redis:
        process, url = start(folder)
        more = f"cache: {{redis: {{url: '{url}'}}}}\n"
    (folder / "ragkit.yaml").write_text(CONFIG + more, encoding="utf-8")

    def progress(stage: str, done: int, total: int | None, detail: str = "") -> None:
        if stage == "documents" and process is not None and process.poll() is None and done * 2 >= documents:
            process.kill()
            process.wait()

    with Pipeline.from_yaml(folder / "ragkit.yaml", host=Host(plugins=[plugin, Stores()])) as pipeline:
        began = time.perf_counter()
        report = pipeline.ingest(progress=progress)
        took = time.perf_counter() - began
    assert report.exit_status == 0, report.failures
    assert process is None or process.poll() is not None, "Redis was to die"
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000, help="make documents for so many")
    parser.add_argument("--rounds", type=int, default=5, help="ingest so often each way")
    chosen = parser.parse_args()
    documents = chosen.chunks // PER_DOCUMENT
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder / "docs", texts(documents))
        ingest(folder, documents, redis=False)  # loads what is loaded once
        took: dict[bool, list[float]] = {False: [], True: []}
        for number in range(chosen.rounds):
            for redis in (False, True) if number % 2 else (True, False):
                took[redis].append(ingest(folder, documents, redis=redis))
    without, dying = (float(np.median(took[redis])) for redis in (False, True))
    print(f"without Redis {without:.2f} s, with one that dies {dying:.2f} s: {(dying / without - 1) * 100:+.1f} %")
    print("without", [round(value, 2) for value in took[False]], "dying", [round(value, 2) for value in took[True]])


if __name__ == "__main__":
    main()
