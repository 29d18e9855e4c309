"""Cutting in a process of its own, once there is much to cut: reading, embedding and writing have this one for themselves."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

from ragkit.ingest.cutting import Chunked, Cuttable, Cutter, cut_or_tell
from ragkit.ingest.report import Clock

WORTH = 2_000
"""Chunks from which on the process is started: cutting so many takes about as long as starting it."""
_MODULE = "ragkit.ingest.elsewhere"

_log = logging.getLogger(__name__)


class Cutting:
    """Cuts documents in this process until there were many, then in another one; if that fails, in this one again.

    `alone` says whether the cutter gives the same chunks wherever it runs, and needs nothing but the text.
    """

    def __init__(self, cutter: Cutter, clock: Clock, *, alone: bool, worth: int = WORTH) -> None:
        self._cutter = cutter
        self._clock = clock
        self._left = worth if alone and _cores() > 1 else None
        self._process: _CutterProcess | None = None

    def begin(self, documents: Sequence[Cuttable]) -> Callable[[], list[Chunked]]:
        """Begin to cut; what it returns waits for the chunks of each, or why it has none. One at a time may be waited for."""
        process = self._process
        if documents and process is not None and process.ready and process.send(documents):
            return lambda: self._fetched(process, documents)
        cuts = self._cut(documents)
        return lambda: cuts

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.stop()

    def _fetched(self, process: _CutterProcess, documents: Sequence[Cuttable]) -> list[Chunked]:
        answer = process.fetch()
        if answer is None:
            return self._cut(documents)
        cuts, seconds = answer
        self._clock.add("cutting", seconds)
        return cuts

    def _cut(self, documents: Sequence[Cuttable]) -> list[Chunked]:
        with self._clock.stage("cutting"):
            cuts = [cut_or_tell(self._cutter, document) for document in documents]
        if self._left is not None:
            self._left -= sum(len(cut) for cut in cuts if not isinstance(cut, str))
            if self._left <= 0:
                self._left = None
                self._process = _CutterProcess(self._cutter)
        return cuts


class _CutterProcess:
    """A process that cuts. It is `ready` once it has the cutter, which is sent to it beside other work.

    Pickles go between the two processes, over a pipe that only they have.
    """

    def __init__(self, cutter: Cutter) -> None:
        self.ready = False
        self._asked = 0
        self._here: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._starting = threading.Thread(target=self._start, args=(cutter,), name="ragkit-cutting", daemon=True)
        self._starting.start()

    def send(self, documents: Sequence[Cuttable]) -> bool:
        """Whether the process took the documents."""
        assert self._here is not None
        try:
            self._asked += 1
            self._here.send((self._asked, documents))
        except Exception as error:  # noqa: BLE001 - a pipe that is broken, or metadata that no pickle can hold
            self._give_up(error)
            return False
        return True

    def fetch(self) -> tuple[list[Chunked], float] | None:
        """What became of the documents, and the seconds that it took; None where the process ended instead."""
        assert self._here is not None
        try:
            answered, answer = 0, None
            while answered != self._asked:  # nobody waited for an earlier one
                answered, answer = self._here.recv()
        except Exception as error:  # noqa: BLE001 - what another process sends may fail in any way to be unpacked
            self._give_up(error)
            return None
        return answer

    def stop(self) -> None:
        """End the process."""
        self.ready = False
        self._ended.set()
        if self._process is not None:
            self._process.kill()
        self._starting.join()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._here is not None:
            self._here.close()

    def _start(self, cutter: Cutter) -> None:
        here, there = Pipe()
        self._here = here
        try:
            with there:
                self._process = _python(there.fileno())
            if not self._ended.is_set():
                here.send(cutter)
                self.ready = bool(here.recv()) and not self._ended.is_set()
        except Exception as error:  # noqa: BLE001 - a plugin's chunker may refuse in any way to be packed
            _log.debug("texts are cut in this process: %s: %s", type(error).__name__, error)

    def _give_up(self, error: Exception) -> None:
        self.ready = False
        if self._ended.is_set():
            return
        _log.warning("the process that cuts texts failed; they are cut in this one again: %s: %s", type(error).__name__, error)


def _python(descriptor: int) -> subprocess.Popen[bytes]:
    """This module as a program, in a group of its own, so that Ctrl-C ends it only with this process."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _MODULE, str(descriptor)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        pass_fds=[descriptor],
        process_group=0,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    """Take a cutter, then documents again and again, until nobody sends any more."""
    with Connection(int(sys.argv[1])) as pipe, suppress(EOFError, OSError):
        cutter = pipe.recv()
        pipe.send(True)
        while True:
            number, documents = pipe.recv()
            began = time.perf_counter()
            cuts = [cut_or_tell(cutter, document) for document in documents]
            pipe.send((number, (cuts, time.perf_counter() - began)))


if __name__ == "__main__":
    main()
