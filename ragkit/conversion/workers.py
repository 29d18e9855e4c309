"""Converts documents in processes of its own: one that takes too much time or memory ends without harm to this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from ragkit.conversion.convert import Content
from ragkit.errors import DocumentError

_MODULE = "ragkit.conversion.worker"
_MOST_DOCUMENTS = 500
"""After so many a worker is replaced, in case a library keeps what it should let go."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    input: IO[bytes]
    output: IO[bytes]
    documents: int = field(default=0)

    @classmethod
    def start(cls, timeout: float) -> _Worker:
        """A process that waits for documents. In a group of its own, so that Ctrl-C ends it only with this one."""
        paths = [path for path in sys.path if path]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONWARNINGS": "ignore",
            # numerical libraries would each set aside memory for every core
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(timeout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            process_group=0,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        return cls(process, process.stdin, process.stdout)

    def ask(self, uri: str, raw: bytes, max_pages: int, declared: str) -> bytes:
        """The answer as JSON; empty where the worker ended instead."""
        self.documents += 1
        header = json.dumps({"uri": uri, "max_pages": max_pages, "declared": declared, "length": len(raw)}).encode()
        try:
            self.input.write(header + b"\n")
            self.input.write(raw)
            self.input.flush()
        except BrokenPipeError:
            return b""
        line = self.output.readline()
        length = int(line) if line.endswith(b"\n") else 0
        answer = self.output.read(length)
        return answer if len(answer) == length else b""

    def stop(self) -> int:
        """End the process; its exit status, negative for a signal."""
        self.process.kill()
        status = self.process.wait()
        for pipe in (self.input, self.output):
            with suppress(BrokenPipeError):  # what was not sent is still in the buffer
                pipe.close()
        return status


class Workers:
    """As many processes as convert at the same time, started when they are needed.

    `timeout` is in seconds; `option` is what the source's users call it.
    """

    def __init__(self, timeout: float, option: str = "timeout") -> None:
        self._timeout = timeout
        self._option = option
        self._idle: list[_Worker] = []
        weakref.finalize(self, _stop_all, self._idle)

    def convert(self, uri: str, raw: bytes, max_pages: int, declared: str = "") -> Content:
        """What `read_container` returns and raises; `DocumentError`, too, where the process was ended."""
        worker = self._take(uri)
        try:
            answer = worker.ask(uri, raw, max_pages, declared)
        except BaseException:
            worker.stop()
            raise
        if not answer:
            status = worker.process.wait()
            worker.stop()
            raise self._ended(uri, status)
        found = json.loads(answer)
        if worker.documents < _MOST_DOCUMENTS and not found.get("spent"):
            self._idle.append(worker)
        else:
            worker.stop()
        if "error" in found:
            raise DocumentError(found["error"], uri=uri, cure=found["cure"])
        return Content(**found["content"])

    def _take(self, uri: str) -> _Worker:
        while True:
            try:
                worker = self._idle.pop()
            except IndexError:
                break
            if worker.process.poll() is None:
                return worker
            worker.stop()
        try:
            return _Worker.start(self._timeout)
        except (OSError, ValueError) as error:
            cure = "set `timeout: null` on the source" if self._option == "timeout" else "let this user have more processes"
            raise DocumentError(f"{uri}: no process can be started to convert it: {error}", uri=uri, cure=cure) from error

    def _ended(self, uri: str, status: int) -> DocumentError:
        if status == -signal.SIGALRM:
            return DocumentError(
                f"{uri}: takes longer than {self._timeout:g} s to convert",
                uri=uri,
                cure=f"raise `{self._option}` of the source, or split it",
            )
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return DocumentError(
            f"{uri}: the process that converted it ended ({how})", uri=uri, cure="leave it out with `exclude` of the source"
        )


def _stop_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().stop()
