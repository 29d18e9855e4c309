"""Ctrl-C and a closed pipe: one line or none, never a traceback, and the next ingest goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ragkit = Callable[..., Any]
RUN = """
import ragkit.cli.opening
from ragkit.cli import main
from ragkit.host import Host
from ragkit.testing import plugin
ragkit.cli.opening.open_host = lambda: Host(plugins=[plugin])
main()
"""
SLOW = """
import signal, sys, time
from ragkit.ingest import documents
put = documents.DocumentSync._put
def slowly(*arguments):
    put(*arguments)
    print("reading", file=sys.stderr, flush=True)
    time.sleep(60)
documents.DocumentSync._put = slowly
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore Ctrl-C
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interrupted_ingest_says_so_in_one_line_and_goes_on_next_time(ragkit: Ragkit, project: Path) -> None:
    with start(SLOW + RUN, "ingest") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; nothing is lost: run the command again, and it goes on from there"
    assert "Traceback" not in err
    assert ragkit("search", "leave").status == 1, "it is not half an index that answers"
    done = ragkit("ingest", "--json")
    assert (done.status, done.json["documents"]["unchanged"], done.json["chunks"]["total"]) == (0, 4, 4)


@pytest.mark.parametrize("command", ["status", "schema", "plugins"])
def test_a_closed_pipe_ends_it_quietly(project: Path, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen([sys.executable, "-c", RUN, command], stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, "")
