"""Python scripts, each in a process of its own that is forked from one which has imported what most of them need.

That one is this module, run: it reads a job from each line of standard input, and answers with its exit status.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType

import forking

PRELOAD = ("llama_index.embeddings.huggingface", *forking.PRELOAD)
"""What takes seconds to import, torch above all; with one core to compute on, it starts no thread that a fork would lose."""


@dataclass(frozen=True)
class Job:
    """A script to run in a folder; what it prints goes to two files."""

    script: str
    folder: str
    out: str
    err: str


@dataclass(frozen=True)
class Done:
    """How a script ended."""

    status: int
    out: str
    err: str


class Scripts:
    """Runs scripts while it is entered; they see `environment` besides the one of the tests."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment, "OMP_NUM_THREADS": "1"}

    def __enter__(self) -> Scripts:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def run(self, script: Path, folder: Path) -> Done:
        """Run a script with `folder` as its working directory."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = self._folder / "out", self._folder / "err"
        job = Job(str(script), str(folder), str(out), str(err))
        print(json.dumps(asdict(job)), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return Done(status, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def forked() -> Job | None:
    """Fork for every job: returns it in the process that is to do it, and None in the first one at the end."""
    gc.freeze()  # else every child copies the memory that its collector marks
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return Job(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def work(job: Job) -> None:
    """Be what `python script` is."""
    for number, name, mode in ((0, os.devnull, os.O_RDONLY), (1, job.out, os.O_WRONLY), (2, job.err, os.O_WRONLY)):
        os.dup2(os.open(name, mode | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(job.folder)
    sys.argv = [job.script]
    sys.path[0] = str(Path(job.script).parent)
    runpy.run_path(job.script, run_name="__main__")


if __name__ == "__main__":
    for module in PRELOAD:
        import_module(module)
    if job := forked():
        work(job)
