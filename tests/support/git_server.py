"""Real repositories for tests, and a local server that gives them out over HTTP through git's own backend."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "2024-05-01T10:00:00Z",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_COMMITTER_DATE": "2024-05-01T10:00:00Z",
}  # fmt: skip


class Repository:
    """A repository with a work tree at `path`, whose branch is `main`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        call = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(call, env=_ENVIRONMENT, input=stdin, capture_output=True, check=True).stdout.decode().strip()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, files: dict[str, str | bytes] | None = None, *, message: str = "change") -> str:
        """Write `files`, commit everything, and return the commit's id."""
        for name, content in (files or {}).items():
            self.write(name, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@dataclass
class GitServer:
    """What serves the repositories below `root`. With `password`, only to those who give it, whoever they say they are.

    `requests` has the paths that were asked for. `answer` replaces git: a status with headers, and a body that never ends
    where it is None.
    """

    root: Path
    url: str = ""
    authorization: str | None = None
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    answer: tuple[int, dict[str, str], bytes | None] | None = None

    @property
    def fetches(self) -> int:
        """How often objects were asked for."""
        return sum(request == "fetch" for request in self.requests)


@contextmanager
def serving(root: Path) -> Iterator[GitServer]:
    """Serve what is below `root` until the block ends."""
    server = GitServer(root)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.handle_it(b"")

        def do_POST(self) -> None:
            self.handle_it(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def handle_it(self, body: bytes) -> None:
            server.authorizations.append(self.headers.get("Authorization"))
            if server.answer is not None:
                self.give(*server.answer)
                return
            if server.authorization is not None and self.headers.get("Authorization") != server.authorization:
                self.give(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"no")
                return
            # version 2 of the protocol says what is wanted in the body
            server.requests.append("fetch" if b"command=fetch" in body or b"want " in body else "ask")
            path, _, query = self.path.partition("?")
            environment = {
                **_ENVIRONMENT,
                "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
                "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            }  # fmt: skip
            done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self.give(int(headers.pop("Status", "200").split()[0]), headers, content)

        def give(self, status: int, headers: dict[str, str], body: bytes | None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(b"" if body is None else body)
                while body is None:
                    self.wfile.write(b"0" * 65_536)
            except OSError:  # the client has hung up
                self.close_connection = True

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
