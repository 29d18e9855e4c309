"""`ragkit runs` lists, shows and compares; `ragkit ingest --watch` follows."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ragkit = Callable[..., Any]
RUN = """
import signal
import ragkit.cli.opening
from ragkit.cli import main
from ragkit.host import Host
from ragkit.testing import plugin
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore Ctrl-C
ragkit.cli.opening.open_host = lambda: Host(plugins=[plugin])
main()
"""
PATIENCE_S = 60.0


def test_runs_are_listed_shown_and_compared(ragkit: Ragkit, project: Path) -> None:
    assert "no ingest yet" in ragkit("runs").out
    ragkit("ingest")
    (project / "pages" / "new.md").write_text("# New\n\nSomething else altogether.\n")
    ragkit("ingest")
    listed = ragkit("runs", "--json").json["runs"]
    assert [run["id"] for run in listed] == [2, 1]
    table = ragkit("runs").out.splitlines()
    assert table[0].split()[:3] == ["run", "started", "status"]
    assert [line.split()[0] for line in table[1:]] == ["2", "1"]
    shown = ragkit("runs", "show", "2").out
    assert "documents.added" in shown
    assert "stages.reading" in shown
    assert ragkit("runs", "show", "2", "--json").json["report"]["documents"]["added"] == 1
    compared = {row["what"]: row for row in ragkit("runs", "compare", "1", "2", "--json").json["differences"]}
    assert (compared["documents.added"]["1"], compared["documents.added"]["2"]) == (4, 1)
    assert "documents.failed" not in compared, "it is the same in both"
    assert "documents.added" in ragkit("runs", "compare", "1", "2").out


def test_a_run_that_there_is_none_of_is_a_clear_error(ragkit: Ragkit, project: Path) -> None:
    ragkit("ingest")
    done = ragkit("runs", "show", "9")
    assert (done.status, "there is no run 9" in done.err, "ragkit runs" in done.err) == (1, True, True)


@pytest.mark.parametrize("other", ["--json", "--dry-run", "--views-only"])
def test_watch_goes_with_nothing_that_ends(ragkit: Ragkit, project: Path, other: str) -> None:
    done = ragkit("ingest", "--watch", other)
    assert (done.status, "--watch" in done.err) == (2, True)


@pytest.mark.timeout(180)
def test_watch_takes_changes_until_it_is_interrupted(ragkit: Ragkit, project: Path) -> None:
    command = [sys.executable, "-u", "-c", RUN, "ingest", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        timer = threading.Timer(PATIENCE_S, process.kill)
        timer.start()
        try:
            assert any("following" in line for line in process.stderr)
            lines = iter(process.stdout.readline, "")
            page = project / "pages" / "leave.md"
            page.write_text(page.read_text().replace("28 days", "31 days"))
            assert "1 updated" in next(line for line in lines if "; " in line)
            page.unlink()
            assert "1 removed" in next(line for line in lines if "; " in line)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        finally:
            timer.cancel()
    assert process.returncode == 0
    assert "Traceback" not in err
    assert ragkit("status", "--json").json["documents"] == 3
