"""Runs the git command such that a repository, a server or the user's own settings cannot make it do anything else."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ragkit.errors import DocumentError, SourceError

_KEPT = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "http_proxy", "https_proxy",
    "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
)  # fmt: skip
_ENVIRONMENT: Mapping[str, str] = {
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=30 -oClearAllForwardings=yes -oPermitLocalCommand=no",
}
_SETTINGS: Mapping[str, str] = {
    # over what the repository's own configuration says
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.bundleURI": "false",
    "core.packedGitWindowSize": "64m",
    "core.packedGitLimit": "512m",
    "core.bigFileThreshold": "64m",
    "pack.threads": "2",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # git refuses repositories of other users because their settings could run commands; here none of those is heeded
    "safe.directory": "*",
}
_LIMITED = ("sh", "-c", 'ulimit -v "$0" 2>/dev/null; exec git "$@"')
"""Git keeps all that a server says it has in memory, however much that is."""
_LITTLE_KB = 1_000_000
MUCH_KB = 4_000_000
"""Address space of a command; of one that works on packs. With the settings above, git keeps well below."""
_LOOK_S = 0.5
_MOST_OUTPUT = 16_000_000
_MOST_NAME = 1_000_000
_READ_AT_ONCE = 1 << 16
_MOST_TOLD = 300
_REGULAR = (b"100644", b"100755", b"100664")


class GitError(Exception):
    """The command failed; its text is what git said, in one line."""


@dataclass(frozen=True)
class File:
    """A regular file of a tree: its path as bytes, the id of its content, and its size, None where the content is missing."""

    path: bytes
    blob: str
    size: int | None


@dataclass(frozen=True)
class Git:
    """The command on one repository. `where` are the arguments that name it, `protocols` those that it may speak.

    `settings` are configuration besides what is always set; they may hold secrets, and stand in the environment.
    """

    where: tuple[str, ...]
    home: Path
    protocols: str = "none"
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    ceiling: str = ""

    def run(
        self,
        *arguments: str,
        timeout: float = 60.0,
        memory_kb: int = _LITTLE_KB,
        watched: Path | None = None,
        most: int = 0,
        lock: int | None = None,
    ) -> str:
        """What the command prints. Raises `GitError` where it fails, takes longer, or lets `watched` outgrow `most` bytes.

        `lock` is a file descriptor that it keeps open as long as it or a helper of its runs.
        """
        deadline = time.monotonic() + timeout
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
            process = self._start(arguments, memory_kb, stdin=subprocess.DEVNULL, stdout=out, stderr=told, lock=lock)
            try:
                status = None
                while status is None:
                    with suppress(subprocess.TimeoutExpired):
                        status = process.wait(_LOOK_S)
                    if status is None and time.monotonic() > deadline:
                        raise GitError(f"it took longer than {timeout:g} s")
                    if max(os.fstat(file.fileno()).st_size for file in (out, told)) > _MOST_OUTPUT:
                        raise GitError("the server says too much")
                    if watched is not None and _bytes_below(watched) > most:
                        raise GitError(f"it has more than max_repository_bytes ({most:,})")
            finally:
                _end(process)
            if status:
                raise GitError(_reason(told, status))
            out.seek(0)
            return out.read(_MOST_OUTPUT).decode("utf-8", "backslashreplace")

    def files(self, commit: str, subpath: str, most: int) -> Iterator[File]:
        """The regular files of `commit`, lazily: no links, no submodules. Raises `GitError`, also beyond `most` entries."""
        below = ["--", subpath] if subpath else []
        with tempfile.TemporaryFile() as told:
            process = self._start(
                ("ls-tree", "-r", "-z", "--long", "--full-tree", commit, *below),
                MUCH_KB,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
            )
            assert process.stdout is not None
            try:
                for number, line in enumerate(_records(process.stdout), 1):
                    if number > most:
                        raise GitError(f"it has more than max_files ({most:,}) files")
                    about, _, path = line.partition(b"\t")
                    mode, _, blob, size = about.split()
                    if mode in _REGULAR:
                        yield File(path, blob.decode(), int(size) if size.isdigit() else None)
                status = process.wait()
            finally:
                _end(process)
                process.stdout.close()
            if status:
                raise GitError(_reason(told, status))

    def blobs(self) -> Blobs:
        """A reader of contents by their ids."""
        return Blobs(self)

    def reader(self) -> subprocess.Popen[bytes]:
        """A process that answers ids with contents."""
        pipe = subprocess.PIPE
        return self._start(("cat-file", "--batch"), MUCH_KB, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def _start(
        self,
        arguments: Sequence[str],
        memory_kb: int,
        *,
        stdin: int,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | int,
        lock: int | None = None,
    ) -> subprocess.Popen[bytes]:
        settings = {**_SETTINGS, **self.settings}
        numbered = enumerate(settings.items())
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **_ENVIRONMENT,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "GIT_ALLOW_PROTOCOL": self.protocols,
            "GIT_CEILING_DIRECTORIES": self.ceiling,
            "GIT_CONFIG_COUNT": str(len(settings)),
            **{f"GIT_CONFIG_{what}_{at}": one for at, pair in numbered for what, one in zip(("KEY", "VALUE"), pair, strict=True)},
        }
        if shutil.which("git") is None:
            raise SourceError("the command git is not installed", cure="install git")
        return subprocess.Popen(
            [*_LIMITED, str(memory_kb), *self.where, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            process_group=0,
            pass_fds=() if lock is None else (lock,),
        )


class Blobs:
    """Reads contents through one process, which ends with this object. Threads may share it."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        weakref.finalize(self, _end_all, self._running)

    def read(self, uri: str, blob: str) -> bytes:
        """The content with the id `blob`. Raises `DocumentError` where the repository lacks it."""
        with self._lock:
            try:
                if not self._running:
                    self._running.append(self._git.reader())
                raw = _ask(self._running[0], blob)
            except BaseException:
                _end_all(self._running)
                raise
            if raw is None:
                _end_all(self._running)
                raise DocumentError(f"{uri}: the repository lacks its content", uri=uri, cure="see `git fsck`, or fetch it anew")
            return raw


def _ask(process: subprocess.Popen[bytes], blob: str) -> bytes | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(f"{blob}\n".encode())
        process.stdin.flush()
    except BrokenPipeError:
        return None
    header = process.stdout.readline().split()
    if len(header) != 3 or header[1] != b"blob":
        return None
    size = int(header[2])
    raw = process.stdout.read(size + 1)
    return raw[:-1] if len(raw) == size + 1 else None


def _records(out: IO[bytes]) -> Iterator[bytes]:
    """What ends with a zero byte."""
    rest = b""
    while piece := out.read(_READ_AT_ONCE):
        *whole, rest = (rest + piece).split(b"\0")
        if len(rest) > _MOST_NAME:
            raise GitError("the path of a file is too long")
        yield from whole


def _reason(told: IO[bytes], status: int) -> str:
    """The last thing that git complained of."""
    told.seek(0)
    lines = told.read(_MOST_OUTPUT).decode("utf-8", "replace").splitlines()
    wrong = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))] or lines
    said = re.sub(r"[\x00-\x1f\x7f]+", " ", "; ".join(line.partition(": ")[2] or line for line in wrong[-2:]))
    return said[:_MOST_TOLD].strip() or f"git ended with status {status}"


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - twice a second over many files
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with its helpers, if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        process = processes.pop()
        _end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
