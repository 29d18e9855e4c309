"""The source `git`: the files of a repository at one commit, each with its content's id as stamp."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.builtin.sources.git_command import Blobs, File, Git, GitError
from ragkit.builtin.sources.git_mirror import Mirror
from ragkit.builtin.sources.ignoring import matcher
from ragkit.components import Entry
from ragkit.conversion.convert import Converter
from ragkit.conversion.decode import BinaryError
from ragkit.conversion.formats import programming_language
from ragkit.conversion.workers import Workers
from ragkit.errors import DocumentError, DocumentGone, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources.git_options import GitOptions

_VERSION = 1
"""Raised whenever the same file begins to give another document."""

_LFS = b"version https://git-lfs.github.com/spec/"
_SHORTEST_ID = 7


class GitSource:
    """The files of a repository. A document's URI is its path there; its stamp is the id of its content.

    So a commit costs no more than the files that it changed. A document's `commit` is the one that it was last read at.
    """

    def __init__(self, options: GitOptions, folder: Path) -> None:
        self._options = options
        self._folder = folder
        workers = Workers(options.timeout) if options.timeout is not None else None
        self._converter = Converter(max_pages=options.max_pages, workers=workers)
        self._name = options.url or (options.path or Path()).absolute().name

    def __iter__(self) -> Iterator[Document]:
        """Read and convert everything. The first document that cannot be read ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily, after fetching what is new. Raises `SourceError` where that fails."""
        options = self._options
        git, commit = Mirror(options, self._folder).updated() if options.url else self._local()
        if commit is None:
            return
        included, excluded = matcher(options.include), matcher(options.exclude)
        blobs, found = git.blobs(), False
        try:
            for file in git.files(commit, options.subpath, options.max_files):
                found = True
                path = _printable(file.path)
                if included(path) and not excluded(path) and (options.hidden or not _is_hidden(path)):
                    yield self._entry(blobs, commit, file, path)
        except GitError as error:
            raise SourceError(
                f"{self._name}: cannot be listed at {commit}: {error}", cure="see `git fsck`; nothing was removed"
            ) from error
        if options.subpath and not found:
            raise SourceError(f"{self._name}: has no {options.subpath!r} at {commit}", cure="correct `subpath`")

    def _entry(self, blobs: Blobs, commit: str, file: File, path: str) -> Entry:
        return Entry(
            uri=path,
            read=partial(self._read, blobs, file, path),
            convert=partial(self._convert, commit, path),
            stamp=file.blob,
            version=f"{self._converter.version(path)}; git {_VERSION} {self._name}",
        )

    def _read(self, blobs: Blobs, file: File, path: str) -> bytes:
        if file.size is not None and file.size > self._options.max_bytes:
            raise DocumentError(
                f"{path}: has {file.size:,} bytes, more than max_bytes ({self._options.max_bytes:,})",
                uri=path,
                cure="raise `max_bytes` of the source, or leave the file out with `exclude`",
            )
        raw = blobs.read(path, file.blob) if file.size is not None else b""
        if file.size is None:
            raise DocumentError(f"{path}: the repository lacks its content", uri=path, cure="clone it without a filter")
        if raw.startswith(_LFS):
            raise DocumentError(f"{path}: lies in Git LFS, which is not fetched", uri=path, cure="leave it out with `exclude`")
        return raw

    def _convert(self, commit: str, path: str, raw: bytes) -> Document:
        try:
            document = self._converter.convert(path, raw)
        except DocumentError as error:
            if isinstance(error.__cause__, BinaryError):
                raise DocumentGone(f"{path}: is binary, and left out", uri=path) from error
            raise
        language = programming_language(path)
        document.metadata = {
            **document.metadata,
            **({"language": language} if language else {}),
            "path": path,
            "commit": commit,
            "repository": self._name,
            "category": "repository",
        }
        return document

    def _local(self) -> tuple[Git, str | None]:
        """The command on a repository of this machine, and the commit to read; None of a repository without any."""
        assert self._options.path is not None
        path, ref = self._options.path.absolute(), self._options.ref
        if not path.is_dir():
            raise SourceError(f"{path} is no folder", cure="correct the source's `path`, or mount it")
        home = self._folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        git = Git(("-C", str(path)), home, ceiling=str(path.parent))
        try:
            git.run("rev-parse", "--git-dir")
        except GitError as error:
            raise SourceError(f"{path} is no Git repository: {error}", cure="correct the source's `path`") from error
        names = ["HEAD"] if ref is None else [ref] if ref.startswith("refs/") else [
            f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/origin/{ref}", *([ref] if _is_id(ref) else []),
        ]  # fmt: skip
        for name in names:
            try:
                return git, git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
            except GitError:
                continue
        if ref is None and not git.run("for-each-ref", "--count=1").strip():
            return git, None
        what = "HEAD is no commit" if ref is None else f"has no branch, tag or commit {ref!r}"
        raise SourceError(f"{path}: {what}", cure="name a branch, a tag or a commit with `ref`")


def _printable(path: bytes) -> str:
    r"""A path as valid Unicode: bytes that are no UTF-8 as `\xe9`."""
    return path.decode("utf-8", "backslashreplace")


def _is_hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path


def _is_id(ref: str) -> bool:
    return len(ref) >= _SHORTEST_ID and all(character in "0123456789abcdefABCDEF" for character in ref)
