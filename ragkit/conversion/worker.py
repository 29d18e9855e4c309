"""The process that converts documents for `workers`: a header and a document in, an answer out, until the input ends."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from ragkit.conversion.convert import read_container
from ragkit.errors import DocumentError

_MAX_MEMORY = 3_000_000_000
"""Bytes of address space. A workbook of 200 MB of XML, the most that is unpacked, stays below."""


def main() -> None:
    """Answer each document with `{"content": …}` or `{"error": …, "cure": …, "spent": …}`, a line with the length before it.

    `spent` says that this process ran out of memory, and should be replaced.
    """
    documents, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with suppress(ValueError, OSError):  # the system has a lower limit, or none of this kind
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    timeout = float(sys.argv[1])
    while header := documents.readline():
        answer = json.dumps(_answer(json.loads(header), documents, timeout)).encode()
        answers.write(b"%d\n" % len(answer))
        answers.write(answer)
        answers.flush()


def _answer(header: dict[str, Any], documents: IO[bytes], timeout: float) -> dict[str, Any]:
    raw = documents.read(header["length"])
    # nobody handles the signal, so the system ends this process, even inside a library's loop
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        return {"content": asdict(read_container(header["uri"], raw, header["max_pages"], header["declared"]))}
    except DocumentError as error:
        return {"error": error.message, "cure": error.cure, "spent": isinstance(error.__cause__, MemoryError)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
