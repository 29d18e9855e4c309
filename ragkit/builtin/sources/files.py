"""The source `files`: lists a folder, reads its files. What the bytes mean is `convert`'s matter."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.builtin.sources.ignoring import Ignoring, matcher
from ragkit.components import Entry
from ragkit.conversion.convert import Converter
from ragkit.conversion.workers import Workers
from ragkit.errors import DocumentError, DocumentGone, SourceError

if TYPE_CHECKING:
    from llama_index.core.schema import Document

    from ragkit.builtin.sources import FilesOptions

_RACY_SECONDS = 2.0
"""A file that changed this recently can change again without its time changing: the coarsest clock in use (FAT) ticks
every two seconds. Git calls such an entry racily clean (Documentation/technical/racy-git.txt)."""

_CHANGED = "changed while it was being listed"


@dataclass(frozen=True)
class _Root:
    """The folder that is read. An unmounted one leaves its mount point behind, an empty folder with another identity."""

    path: Path
    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Root:
        info = path.stat()
        return cls(path, info.st_dev, info.st_ino)

    def is_there(self) -> bool:
        """Whether it is still the same folder."""
        try:
            return _Root.of(self.path) == self
        except OSError:
            return False


@dataclass(frozen=True)
class _Rules:
    """What is taken; paths are relative to the root, those of folders with `/` at their end."""

    included: Callable[[str], bool]
    excluded: Callable[[str], bool]
    hidden: bool


class FilesSource:
    """The documents under a folder, in the order of their paths. A document's URI is its path relative to the folder.

    Symbolic links to folders are not followed, nor those to files outside the folder; so no listing runs in circles.
    """

    def __init__(self, options: FilesOptions) -> None:
        self._options = options
        self._root = options.path.absolute()
        workers = Workers(options.timeout) if options.timeout is not None else None
        self._converter = Converter(encoding=options.encoding, max_pages=options.max_pages, workers=workers)

    def __iter__(self) -> Iterator[Document]:
        """Read and convert everything. The first document that cannot be read ends it; `entries` lets the others go on."""
        for entry in self.entries():
            yield entry.convert(entry.read())

    def entries(self) -> Iterator[Entry]:
        """List everything, lazily. Raises `SourceError` where that is not possible to the end."""
        try:
            root = self._root.resolve(strict=True)
            info = root.stat()
        except (OSError, RuntimeError) as error:
            raise self._unlistable(error) from error
        if stat.S_ISREG(info.st_mode):
            yield self._entry(_Root.of(root.parent), str(root), root.name)
        elif stat.S_ISDIR(info.st_mode):
            known = _Root.of(root)
            rules = _Rules(matcher(self._options.include), matcher(self._options.exclude), self._options.hidden)
            yield from self._walk(known, str(root), "", rules, Ignoring.above(root) if self._options.gitignore else None)
            if not known.is_there():
                raise SourceError(f"folder {root} {_CHANGED}", cure="see that it is mounted and run again; nothing was removed")
        else:
            raise SourceError(f"{self._root} is neither a folder nor a file", cure="correct the source's `path`")

    def _walk(self, root: _Root, folder: str, prefix: str, rules: _Rules, ignoring: Ignoring | None) -> Iterator[Entry]:
        found = self._found(folder)
        if ignoring is not None and any(item.name == ".gitignore" for item, _ in found):
            ignoring = ignoring.below(folder)
        for item, is_folder in found:
            if item.name.startswith(".") and not rules.hidden:
                continue
            uri = prefix + _printable(item.name)
            if is_folder:
                if not rules.excluded(uri + "/") and not (ignoring and ignoring.ignores(item.path, is_folder=True)):
                    yield from self._walk(root, item.path, uri + "/", rules, ignoring)
            elif (
                rules.included(uri)
                and not rules.excluded(uri)
                and not (ignoring and ignoring.ignores(item.path, is_folder=False))
                and _is_file_below(root.path, item)
            ):
                yield self._entry(root, item.path, uri)

    def _found(self, folder: str) -> list[tuple[os.DirEntry[str], bool]]:
        """What is in `folder`, sorted so that the whole listing is in the order of its URIs; with whether it is a folder."""
        try:
            with os.scandir(folder) as found:
                items = [(item, item.is_dir(follow_symlinks=False)) for item in found]
        except OSError as error:
            raise self._unlistable(error, folder) from error
        return sorted(items, key=lambda pair: _printable(pair[0].name) + ("/" if pair[1] else ""))

    def _unlistable(self, error: Exception, folder: str | None = None) -> SourceError:
        place = folder or self._root
        if isinstance(error, FileNotFoundError):
            if folder:
                return SourceError(f"folder {place} {_CHANGED}", cure="run again; nothing was removed")
            return SourceError(f"{place} does not exist", cure="correct the source's `path`, or mount the folder")
        if isinstance(error, PermissionError):
            return SourceError(
                f"no permission to list {place}", cure="give this user the permission, or leave the folder out with `exclude`"
            )
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return SourceError(f"{place} cannot be listed: {reason}", cure="see that the folder is mounted and readable")

    def _entry(self, root: _Root, path: str, uri: str) -> Entry:
        return Entry(
            uri=uri,
            read=partial(_read, root, path, uri, self._options.max_bytes),
            convert=partial(self._converter.convert, uri),
            stamp=_stamp(path),
            version=self._converter.version(uri),
        )


def _printable(name: str) -> str:
    r"""A file name as valid Unicode: bytes that are no UTF-8 as `\xe9`."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_file_below(root: Path, item: os.DirEntry[str]) -> bool:
    """Whether it is a regular file, or a link to one that lies in `root`. What cannot be looked at is listed, to fail."""
    try:
        if not item.is_symlink():
            return item.is_file(follow_symlinks=False)
        target = Path(item.path).resolve(strict=True)
        return target.is_relative_to(root) and target.is_file()
    except FileNotFoundError:
        return False
    except RuntimeError:  # a link to itself
        return False
    except OSError as error:
        return isinstance(error, PermissionError)


def _stamp(path: str) -> str | None:
    try:
        info = os.stat(path)  # noqa: PTH116 - for every file of a listing
    except OSError:
        return None
    if info.st_mtime > time.time() - _RACY_SECONDS:
        return None
    return f"{info.st_size}:{info.st_mtime_ns}:{info.st_ino}"


def _read(root: _Root, path: str, uri: str, max_bytes: int) -> bytes:
    """The bytes of a file that may have been deleted, grown or replaced by something else since it was listed."""
    try:
        target = Path(path).resolve(strict=True)
        if not target.is_relative_to(root.path):
            raise DocumentError(f"{uri}: became a link out of the folder", uri=uri)
        # without waiting, should a pipe have taken the file's place
        with os.fdopen(os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise DocumentError(f"{uri}: is no regular file", uri=uri)
            raw = file.read(max_bytes + 1) if info.st_size <= max_bytes else b""
    except FileNotFoundError as error:
        if root.is_there():
            raise DocumentGone(f"{uri}: was deleted while the folder was being read", uri=uri) from error
        raise DocumentError(f"{uri}: the folder {root.path} is gone", uri=uri, cure="see that it is mounted") from error
    except PermissionError as error:
        raise DocumentError(f"{uri}: no permission to read it", uri=uri, cure="give this user the permission") from error
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(f"{uri}: cannot be read: {reason}", uri=uri) from error
    size = max(info.st_size, len(raw))
    if size > max_bytes:
        raise DocumentError(
            f"{uri}: has {size:,} bytes, more than max_bytes ({max_bytes:,})",
            uri=uri,
            cure="raise `max_bytes` of the source, or leave the file out with `exclude`",
        )
    return raw
