"""Files that a browser sent: read once, taken out of Gradio's folder, and given to the pipeline under a name that is free."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from ragkit.errors import DocumentError
from ragkit.ingest.report import Progress
from ragkit.pipeline import Pipeline
from ragkit.pipeline.uploads import Upload

_MOST_NAMES = 1_000


class Taking:
    """Takes files out of `folder` into a pipeline. Threads may share it."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder.resolve()
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def take(self, sent: str, name: str, progress: Progress) -> Upload:
        """Ingest the file that was sent to the path `sent`, which is gone afterwards.

        Raises `DocumentError` for one that is refused, or that is no file which was sent.
        """
        content = self._read(sent, name)
        with self._free(unicodedata.normalize("NFC", name), content) as free:
            return self._pipeline.upload(free, content, progress=progress)

    def drop(self, sent: str, name: str) -> None:
        """Remove a file that was sent and is not taken."""
        with suppress(DocumentError):
            self._read(sent, name)

    def _read(self, sent: str, name: str) -> bytes:
        """The file's content. Nothing outside the folder of what was sent is read or removed."""
        path = Path(sent)
        lost = DocumentError(f"{name}: did not arrive", uri=name, cure="send it again")
        if "\x00" in sent or not path.is_absolute() or path.resolve().parent.parent != self._folder or path.is_symlink():
            raise lost
        try:
            return path.read_bytes()
        except OSError:
            raise lost from None
        finally:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()

    @contextmanager
    def _free(self, name: str, content: bytes) -> Iterator[str]:
        """A name that nothing else has, or this very file: `notes.md`, else `notes-2.md`."""
        with self._lock:
            free = next((option for option in _names(name) if self._may_have(option, content)), name)
            self._names.add(free)
        try:
            yield free
        finally:
            with self._lock:
                self._names.discard(free)

    def _may_have(self, name: str, content: bytes) -> bool:
        if name in self._names:
            return False
        return not self._pipeline.has_upload(name) or self._pipeline.has_upload(name, content)


def _names(name: str) -> Iterator[str]:
    path = PurePosixPath(re.sub(r"[\\/\x00]", "", name) or "file")
    yield path.name
    for number in range(2, _MOST_NAMES):
        yield f"{path.stem}-{number}{path.suffix}"
