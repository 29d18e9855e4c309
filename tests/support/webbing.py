"""The source `web` in tests: pointed at sites of the test, and waiting without losing time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llama_index.core.schema import Document

from ragkit.components import Entry
from ragkit.errors import DocumentError, SourceError
from ragkit_web import WebOptions
from ragkit_web.fetching import Clock
from ragkit_web.source import WebSource


@dataclass
class Waits:
    """A clock that goes on by itself, and at once by what is slept."""

    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return time.monotonic() + sum(self.slept)

    def today(self) -> float:
        return time.time() + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.today, self.sleep)


@dataclass
class Taken:
    """What a listing gave: documents, errors by URI, and why it was not complete."""

    documents: dict[str, Document] = field(default_factory=dict)
    errors: dict[str, DocumentError] = field(default_factory=dict)
    stamps: dict[str, str | None] = field(default_factory=dict)
    incomplete: str = ""

    @property
    def uris(self) -> set[str]:
        return {*self.documents, *self.errors}


def web(folder: Path, *urls: str, waits: Waits | None = None, resolve: Any = None, **options: Any) -> WebSource:
    """A source without delays that may reach this machine."""
    given = WebOptions.model_validate({"urls": urls, "delay": 0, "allow_private": True, **options})
    folder.mkdir(exist_ok=True)
    more = {"resolve": resolve} if resolve else {}
    return WebSource(given, folder, clock=(waits or Waits()).clock, **more)


def take(source: WebSource) -> Taken:
    """List everything, and read it as the host does."""
    taken = Taken()
    try:
        for entry in source.entries():
            assert entry.uri not in taken.uris, f"{entry.uri} is listed twice"
            taken.stamps[entry.uri] = entry.stamp
            try:
                taken.documents[entry.uri] = entry.convert(entry.read())
            except DocumentError as error:
                taken.errors[entry.uri] = error
    except SourceError as error:
        taken.incomplete = str(error)
    return taken


def only(source: WebSource) -> Entry:
    """The one entry of a source."""
    entries: Iterator[Entry] = source.entries()
    (entry,) = entries
    return entry
