"""How far an ingest has come, on standard error: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragkit.cli.render import log, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LABELS = {"documents": "reading documents", "vector": "vector view", "keyword": "keyword view"}
_SECONDS_BETWEEN_LINES = 10.0


class Lines:
    """Progress as plain lines: where every stage stands, every ten seconds and at the end."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()
        self._unsaid: dict[str, str] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._say()

    def __call__(self, stage: str, done: int, total: int | None, detail: str = "") -> None:
        with self._lock:
            self._unsaid[stage] = f"{_LABELS.get(stage, stage)}: {done}" + (f" of {total}" if total is not None else "")
        if time.monotonic() - self._said_at >= _SECONDS_BETWEEN_LINES:
            self._say()

    def _say(self) -> None:
        with self._lock:
            lines, self._unsaid, self._said_at = list(self._unsaid.values()), {}, time.monotonic()
        for line in lines:
            log(line)


class Bars:
    """Progress as rich bars, one for each stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<17}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
        )
        self._bars: Progress = Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int | None, detail: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(_LABELS.get(stage, stage), total=total, detail="")
        self._bars.update(self._tasks[stage], completed=done, total=total, detail=printable(detail)[-40:])


def progress() -> Lines | Bars:
    """The one that suits standard error."""
    return Bars() if sys.stderr.isatty() else Lines()
