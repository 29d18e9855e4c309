"""`ragkit serve` as a process: ready, stopped, with several workers, with a collector of traces, without a network."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from api_server import QUESTION, project
from local_http import serving_http
from offline import offline
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ragkit.config import load
from ragkit.errors import ConfigError
from ragkit.host import Host
from ragkit.server.running import Start, run
from ragkit.testing import plugin

pytestmark = pytest.mark.service

RAGKIT = str(Path(sys.executable).with_name("ragkit"))


@contextmanager
def command(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """A `ragkit` command that says its address, and the lines that it says."""
    process = subprocess.Popen([RAGKIT, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    lines: list[str] = []
    found = threading.Event()

    def read() -> None:
        for line in process.stderr or ():
            lines.append(line)
            if "http://localhost:" in line:
                found.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        assert found.wait(60), "".join(lines)
        yield re.search(r"http://localhost:\d+", "".join(lines))[0], process, lines
    finally:
        process.kill()
        process.wait()
        thread.join(10)
        if process.stderr is not None:
            process.stderr.close()


def ready(address: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("not ready")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Iterator[Path]:
    """A project with the quick embedding, whose plugin every process of the tests has installed."""
    installed = tmp_path_factory.mktemp("installed") / "ragkit_fakes-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: ragkit-fakes\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[ragkit]\nfakes = ragkit.testing.plugin\n")
    path = project(tmp_path_factory.mktemp("project"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(installed.parent))
        subprocess.run([RAGKIT, "ingest", "-c", str(path)], check=True, capture_output=True)
        yield path


def test_it_ends_what_it_has_begun_when_it_is_stopped(config):
    body = json.dumps({"query": QUESTION}).encode()
    with command("serve", "-c", str(config), "--port", "0", "--no-page", "--set", "serve.log=json") as (address, process, lines):
        ready(address)
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as begun:
            head = f"POST /ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            begun.sendall(head.encode() + body[:5])
            deadline = time.monotonic() + 30  # the other one asks for the numbers
            while "ragkit_requests_in_progress 2.0" not in httpx.get(f"{address}/metrics").text and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            refused = False
            while not refused and time.monotonic() < deadline:
                try:
                    httpx.get(f"{address}/healthz")
                except httpx.TransportError:
                    refused = True
            assert refused
            begun.sendall(body[5:])
            answer = b""
            while part := begun.recv(65_536):
                answer += part
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"28 days" in answer
    (line,) = [line for line in map(json.loads, (line for line in lines if line[0] == "{")) if line.get("route") == "/ask"]
    assert (line["status"], line["method"], line["logger"]) == (200, "POST", "ragkit.access")
    assert line["request_id"].encode() in answer
    assert "paid leave" not in "".join(lines)


def test_several_workers_answer_and_tell_their_numbers_together(config):
    with command("serve", "-c", str(config), "--port", "0", "--workers", "2") as (address, process, lines):
        ready(address)
        for _ in range(40):
            with httpx.Client() as client:
                assert client.post(f"{address}/search", json={"query": QUESTION}).status_code == 200
        text = httpx.get(f"{address}/metrics").text
        counted = re.findall(r'ragkit_requests_total\{[^}]*route="/search"[^}]*\} (\d+)', text)
        assert sum(map(int, counted)) == 40
        workers = {int(found) for line in lines for found in re.findall(r"Started server process \[(\d+)\]", line)}
        assert len(workers) == 2
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_store_of_one_process_has_one_worker(tmp_path):
    path = project(tmp_path, vector_store="chroma")
    with pytest.raises(ConfigError, match="used by one process at a time"):
        run(load(path, Host(plugins=[plugin])), Start(path, workers=2), ready=print)


def test_traces_reach_a_collector_without_what_was_asked(config):
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with serving_http(Collector) as collector:
        arguments = ("serve", "-c", str(config), "--port", "0", "--no-page", "--set", f"serve.traces={collector}")
        with command(*arguments, OTEL_BSP_SCHEDULE_DELAY="200") as (address, process, _):
            ready(address)
            assert httpx.post(f"{address}/ask", json={"query": QUESTION}).status_code == 200
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not any(b"ragkit answer" in body for body in bodies):
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    spans = {}
    for body in bodies:
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            for scope in resource.scope_spans:
                spans.update({span.name: span for span in scope.spans})
    request = next(span for name, span in spans.items() if name == "POST /ask")
    for stage in ("embed", "dense", "keyword", "fused", "answer"):
        span = spans[f"ragkit {stage}"]
        assert span.trace_id == request.trace_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert any(name.startswith("HybridRetriever") for name in spans)
    assert b"paid leave" not in b"".join(bodies)


def test_it_reaches_no_other_machine(config):
    script = f"""
        import time
        from ragkit import Pipeline
        from ragkit.server.app import create_app
        from starlette.testclient import TestClient
        with Pipeline.from_yaml({str(config)!r}) as pipeline:
            with TestClient(create_app(pipeline), base_url="http://localhost") as client:
                while client.get("/readyz").status_code != 200:
                    time.sleep(0.1)
                print(client.post("/ask", json={{"query": {QUESTION!r}}}).json()["answer"])
                print("page", client.get("/").status_code)
    """
    done = offline(script)
    assert "28 days" in done.stdout, done.stderr
    assert "page 200" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("attempts 0")
