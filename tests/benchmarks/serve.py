"""What `ragkit serve` bears: questions embedded together, and a thousand clients at once.

    python tests/benchmarks/serve.py --config DIR/ragkit.yaml --questions DATA/scifact/queries.jsonl
    python tests/benchmarks/serve.py --config … --questions … --only crowd --clients 1000 --seconds 60

One worker serves an ingested index in a process of its own; the clients are in this one. `together` compares the server that
embeds concurrent questions in one call of the model with one that makes a call for each, in turn, several times: the
embedding stage alone (`/v1/embeddings`, a question in each request) and whole answers (`/ask`). No vector of a question is
kept, and no question comes twice. `crowd` lets so many clients ask at once, each the next question when it has the answer to the
last, coming back when told to; `/healthz` is asked beside them, and the server's memory is looked at before, during and
after.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil

REPEATED = 3
CONCURRENT = 64
QUESTIONS = 2_000
LATER = 4


def serve(config: Path, together: bool) -> None:
    """Be the server."""
    import uvicorn

    from ragkit import Pipeline
    from ragkit.server.app import create_app
    from ragkit.server.running import _uvicorn

    limits = ("serve.requests_per_minute=0", "serve.log=json")
    with Pipeline.from_yaml(config, overrides=limits) as pipeline:
        embedding = pipeline._index.wiring.embedding
        embedding.keeps_queries, embedding.batches_queries = False, together
        app = create_app(pipeline, page=False)
        settings = pipeline.config.serve.model_copy(update={"port": 0})
        server = uvicorn.Server(_uvicorn(pipeline.config.model_copy(update={"serve": settings}), app))

        async def run() -> None:
            task = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            print(server.servers[0].sockets[0].getsockname()[1], flush=True)
            await task

        asyncio.run(run())


@contextmanager
def server(config: Path, *, together: bool = True) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a server that is ready, and its process."""
    command = [sys.executable, __file__, "--config", str(config), "--serve", "together" if together else "each"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", psutil.Process(process.pid)
        finally:
            process.terminate()


async def ready(session: aiohttp.ClientSession, address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        async with session.get(f"{address}/readyz") as response:
            if response.status == 200:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("the server did not become ready")


async def throughput(address: str, path: str, bodies: Iterator[dict], seconds: float) -> float:
    """Requests per second of so many clients."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await ready(session, address)
        done, stop = 0, time.monotonic() + seconds + 1

        async def client() -> None:
            nonlocal done
            while time.monotonic() < stop:
                async with session.post(address + path, json=next(bodies)) as response:
                    await response.read()
                    assert response.status == 200, await response.text()
                    done += time.monotonic() > stop - seconds

        await asyncio.gather(*(client() for _ in range(CONCURRENT)))
        return done / (time.monotonic() - stop + seconds)


def compare(config: Path, questions: list[str], seconds: float) -> None:
    """Together against one call for each, in turn."""
    fresh = (f"{question} {number}" for number, question in enumerate(itertools.cycle(questions)))
    model = embedding_name(config)
    paths = {
        "embedding": (
            "/v1/embeddings",
            lambda text: {"model": model, "input": text, "input_type": "query", "encoding_format": "base64"},
        ),
        "whole answers": ("/ask", lambda text: {"query": text}),
    }
    with server(config, together=False) as (each, _), server(config, together=True) as (joint, _):
        for name, (path, body) in paths.items():
            found: dict[str, list[float]] = {each: [], joint: []}
            for _ in range(REPEATED):
                for address in (each, joint):
                    found[address].append(asyncio.run(throughput(address, path, map(body, fresh), seconds)))
            ratio = statistics.median(found[joint]) / statistics.median(found[each])
            told = {
                name: ", ".join(f"{rate:.0f}" for rate in found[address])
                for name, address in (("each", each), ("together", joint))
            }
            print(f"{name}: a call for each {told['each']} a second; together {told['together']}; {ratio:.2f} times", flush=True)


def embedding_name(config: Path) -> str:
    from ragkit import Pipeline

    with Pipeline.from_yaml(config) as pipeline:
        return pipeline.embedding_name


async def crowd(address: str, process: psutil.Process, questions: list[str], clients: int, seconds: float) -> None:
    fresh = (f"{question} {number}" for number, question in enumerate(itertools.cycle(questions)))
    statuses: Counter[int | str] = Counter()
    waits: list[float] = []
    took: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await ready(session, address)
        before, stop = megabytes(process), time.monotonic() + seconds
        most = before

        async def client() -> None:
            while time.monotonic() < stop:
                began = time.monotonic()
                try:
                    async with session.post(f"{address}/ask", json={"query": next(fresh)}) as response:
                        await response.read()
                        told = response.headers.get("Retry-After")
                except (aiohttp.ClientError, TimeoutError) as error:
                    statuses[type(error).__name__] += 1
                    continue
                statuses[response.status if response.status == 200 or told else f"{response.status} without Retry-After"] += 1
                if response.status == 200:
                    took.append(time.monotonic() - began)
                else:
                    await asyncio.sleep(float(told or 1))

        async def probe() -> None:
            nonlocal most
            while time.monotonic() < stop:
                began = time.monotonic()
                async with session.get(f"{address}/healthz") as response:
                    assert response.status == 200
                waits.append(time.monotonic() - began)
                most = max(most, megabytes(process))
                await asyncio.sleep(0.25)

        await asyncio.gather(probe(), *(client() for _ in range(clients)))
        ended = megabytes(process)
        later = [f"{await rounds(session, address, fresh, process):.0f}" for _ in range(LATER)]
    print(f"{clients} clients, {seconds:.0f} s: {dict(statuses)}; {len(took) / seconds:.0f} answers a second")
    print(f"an answer took {statistics.median(took):.2f} s (median), {max(took):.2f} s at most")
    print(f"/healthz took {max(waits) * 1000:.0f} ms at most")
    print(f"memory {before:.0f} MB before, {most:.0f} at most, {ended:.0f} afterwards")
    print(f"after {QUESTIONS} questions more each: {', '.join(later)} MB")


async def rounds(session: aiohttp.ClientSession, address: str, fresh: Iterator[str], process: psutil.Process) -> float:
    """The memory after some more questions, few at once, by which memory that grows with every question would show."""

    async def client() -> None:
        for _ in range(QUESTIONS // 8):
            async with session.post(f"{address}/ask", json={"query": next(fresh)}) as response:
                await response.read()

    await asyncio.gather(*(client() for _ in range(8)))
    return megabytes(process)


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="an ingested configuration")
    parser.add_argument("--questions", type=Path, help="JSONL with a question in `text` on each line")
    parser.add_argument("--only", choices=["together", "crowd"], help="one of the two")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the crowd; a comparison takes five for each")
    parser.add_argument("--serve", choices=["together", "each"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.config, chosen.serve == "together")
        return
    questions = [json.loads(line)["text"] for line in chosen.questions.read_text(encoding="utf-8").splitlines()]
    if chosen.only != "crowd":
        compare(chosen.config, questions, 5.0)
    if chosen.only != "together":
        with server(chosen.config) as (address, process):
            asyncio.run(crowd(address, process, questions, chosen.clients, chosen.seconds))


if __name__ == "__main__":
    main()
