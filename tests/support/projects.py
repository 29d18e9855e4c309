"""What the tests of the ingest share: a project in a folder, with real stores and a quick embedding."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ragkit.host import Host
from ragkit.ingest.report import IngestReport
from ragkit.pipeline import Pipeline
from ragkit.testing import plugin

CONFIG = """\
name: test
sources:
  - {{use: files, name: docs, path: docs, include: ["**/*.md"]}}
chunker: {{use: sentence, size: {size}, overlap: 0}}
embedding: fake
{more}
"""


@cache
def _host() -> Host:
    """Looking for installed plugins takes half as long as opening a small index."""
    return Host(plugins=[plugin])


class Project:
    """A folder with `docs/` and a `ragkit.yaml`; every `ingest` opens a pipeline of its own, as the command does."""

    def __init__(self, folder: Path, *, size: int = 40, more: str = "") -> None:
        self.folder = folder
        self.config = folder / "ragkit.yaml"
        self.docs = folder / "docs"
        self.docs.mkdir(parents=True, exist_ok=True)
        self.configure(size=size, more=more)

    @classmethod
    def at(cls, folder: Path) -> Project:
        """The project of a folder that another process has set up."""
        project = cls.__new__(cls)
        project.folder, project.config, project.docs = folder, folder / "ragkit.yaml", folder / "docs"
        return project

    def configure(self, *, size: int = 40, more: str = "") -> None:
        self.config.write_text(CONFIG.format(size=size, more=more))

    def write(self, name: str, text: str) -> Path:
        path = self.docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def open(self, *plugins: object, overrides: tuple[str, ...] = ()) -> Pipeline:
        host = Host(plugins=[plugin, *plugins]) if plugins else _host()
        return Pipeline.from_yaml(self.config, host=host, overrides=overrides)

    def ingest(self, *plugins: object, **rules: Any) -> IngestReport:
        with self.open(*plugins) as pipeline:
            return pipeline.ingest(**rules)

    def ids(self) -> tuple[set[str], set[str], set[str]]:
        """Chunk ids in the ledger, the vector store and the keyword store."""
        from ragkit.state.reader import Reader

        with self.open() as pipeline:
            index = pipeline._index
            live = index.live()
            with index.pool.using(live.vector, live.keyword) as views:
                held = [set(view.store.ids() or ()) for view in views]
            return {chunk.id for chunk in Reader(index.ledger, live).all()}, held[0], held[1]

    def hits(self, question: str, **more: Any) -> list[str]:
        with self.open() as pipeline:
            return [hit.text for hit in pipeline.search(question, **more).hits]


def texts(count: int, topic: str = "river") -> Iterator[str]:
    """Different texts of a few sentences each."""
    for number in range(count):
        yield f"# {topic.title()} {number}\n\nThe {topic} number {number} is long. It has {number + 3} bridges and no island.\n"
