"""A remote repository on this disk: one commit of it, fetched when the remote has another."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.builtin.sources.addresses import public_addresses
from ragkit.builtin.sources.git_command import MUCH_KB, Git, GitError
from ragkit.builtin.sources.git_options import address_of
from ragkit.errors import SourceError

if TYPE_CHECKING:
    from ragkit.builtin.sources.git_options import GitOptions

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.IGNORECASE)
_ASK_S = 120.0
_LOOK_S = 0.2
_MOST_PACKS = 30
_TIDY_S = 600.0


class Mirror:
    """A bare repository in `folder`, with the one commit that `options` name."""

    def __init__(self, options: GitOptions, folder: Path) -> None:
        assert options.url is not None
        self._options = options
        self._url = options.url
        slug = re.sub(r"[^a-z0-9]+", "-", self._url.partition("://")[2].lower())[-60:].strip("-")
        self._path = folder / f"{slug}-{_digest(self._url)}.git"
        self._home = folder / "home"

    def updated(self) -> tuple[Git, str]:
        """The command on the mirror, and the commit to read. Raises `SourceError`."""
        self._home.mkdir(parents=True, exist_ok=True)
        git = self._git()
        with self._locked() as lock:
            try:
                self._prepare(git)
                name, commit = self._wanted(git)
                kept = f"refs/ragkit/{_digest(name)}"
                if self._held(git, kept) != commit:
                    self._fetch(git, name, kept, lock)
                return git, git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{kept}^{{commit}}").strip()
            except GitError as error:
                raise self._failed(str(error)) from error

    def _git(self) -> Git:
        """The command with what it needs to reach the remote, whose addresses are checked, and kept to."""
        found = address_of(self._url)
        assert found is not None
        kind, host, port = found
        settings: dict[str, str] = {}
        try:
            addresses = public_addresses(host, port, allow_private=self._options.allow_private)
        except SourceError as error:
            # ssh has names of its own, in the user's settings
            if kind != "ssh" or "leads nowhere" not in error.message:
                raise
            addresses = ()
        if kind != "ssh":
            pinned = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
            settings["http.curloptResolve"] = f"{host}:{port}:{pinned}"
        if self._options.token is not None and kind != "ssh":
            pair = f"{self._options.username}:{self._options.token.get_secret_value()}".encode()
            settings["http.extraHeader"] = f"Authorization: Basic {base64.b64encode(pair).decode()}"
        return Git((f"--git-dir={self._path}",), self._home, kind, settings)

    def _prepare(self, git: Git) -> None:
        """Make the mirror, or make it usable again after a process that was killed in the middle."""
        if (self._path / "HEAD").exists():
            for left in (
                *self._path.glob("*.lock"),
                *self._path.glob("refs/ragkit/*.lock"),
                *self._path.glob("objects/pack/tmp_*"),
            ):
                left.unlink(missing_ok=True)
            try:
                git.run("rev-parse", "--is-bare-repository")
                return
            except GitError:
                shutil.rmtree(self._path)
        git.run("init", "--quiet", "--bare", "--template=", str(self._path))

    def _wanted(self, git: Git) -> tuple[str, str]:
        """What to fetch: the remote's name for it, and the object that it is there."""
        ref = self._options.ref
        if ref is not None and _COMMIT.fullmatch(ref):
            return ref.lower(), ref.lower()
        names = ["HEAD"] if ref is None else [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        listed = git.run("ls-remote", "--quiet", "--", self._url, *names, timeout=_ASK_S)
        found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
        for name in names:
            if name in found:
                return name, found[name]
        # what answers with a page instead of a repository looks like an empty one to git
        what = "has no main branch, or is no repository" if ref is None else f"has no branch and no tag {ref!r}"
        raise SourceError(
            f"{self._url}: {what}", cure="name a branch, a tag or a whole commit id with `ref`; nothing was removed"
        )

    def _held(self, git: Git, name: str) -> str:
        try:
            return git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name).strip()
        except GitError:
            return ""

    def _fetch(self, git: Git, name: str, kept: str, lock: int) -> None:
        flags = (
            "--quiet",
            "--force",
            "--depth=1",
            "--update-shallow",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
        )
        git.run(
            "fetch", *flags, "--", self._url, f"{name}:{kept}",
            timeout=self._options.fetch_timeout, memory_kb=MUCH_KB, watched=self._path,
            most=self._options.max_repository_bytes, lock=lock,
        )  # fmt: skip
        if sum(1 for _ in self._path.glob("objects/pack/*.pack")) > _MOST_PACKS:
            git.run("gc", "--quiet", "--prune=now", timeout=_TIDY_S, memory_kb=MUCH_KB, lock=lock)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """One process at a time. A git that outlives its ragkit holds the lock until it ends."""
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._options.fetch_timeout
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise SourceError(f"{self._url}: another process is fetching it", cure="run again later") from None
                    time.sleep(_LOOK_S)
            yield descriptor
        finally:
            os.close(descriptor)

    def _failed(self, reason: str) -> SourceError:
        cure = "see that the address is right and the server is reachable; nothing was removed"
        if "could not read" in reason or "Authentication failed" in reason or "Permission denied" in reason:
            reason, cure = "it is private, or not there", "see that the address is right, or set `token`; nothing was removed"
        elif re.search(r"returned error: 3\d\d", reason):
            cure = "give the address that the server redirects to; nothing was removed"
        elif "max_repository_bytes" in reason:
            cure = "raise it on the source; nothing was removed"
            shutil.rmtree(self._path, ignore_errors=True)
        elif "unadvertised object" in reason or "not our ref" in reason:
            cure = "the server gives out no such commit; name a branch or a tag with `ref`; nothing was removed"
        return SourceError(f"{self._url}: cannot be fetched: {reason}", cure=cure)


def _digest(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
