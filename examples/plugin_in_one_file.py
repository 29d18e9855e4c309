"""A plugin in one file: a source of notes, and a reranker that prefers short ones.

    python examples/plugin_in_one_file.py

Here the plugin is handed to the host. In a distribution of its own, an entry point makes it known instead:

    [project.entry-points.ragkit]
    notes = "ragkit_notes"
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit import BuildContext, Component, Options, Pipeline, hookimpl, identity, runtime
from ragkit.config import parse
from ragkit.host import Host

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import Document, NodeWithScore, QueryBundle


class NotesOptions(Options):
    """sources: [{use: notes, notes: {groceries: "Milk and bread."}}]"""

    notes: dict[str, str] = identity(description="The notes: title and text.")


def build_notes(options: NotesOptions, context: BuildContext) -> Iterator[Document]:
    """One document for each note, made when it is asked for."""
    from llama_index.core.schema import Document

    for title, text in options.notes.items():
        yield Document(text=text, id_=title, metadata={"uri": title, "title": title})


class ShortFirstOptions(Options):
    """rerankers: [{use: short_first, limit: 200}]"""

    limit: int = runtime(default=200, ge=1, description="How many characters count as short.")


def build_short_first(options: ShortFirstOptions, context: BuildContext) -> BaseNodePostprocessor:
    """Short hits first, each half in the order in which it came."""
    from llama_index.core.postprocessor.types import BaseNodePostprocessor

    class ShortFirst(BaseNodePostprocessor):
        def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
            return sorted(nodes, key=lambda hit: len(hit.node.get_content()) > options.limit)

    return ShortFirst()


@hookimpl
def ragkit_sources() -> list[Component]:
    """Offer `notes`."""
    return [Component("notes", NotesOptions, build_notes, summary="notes that stand in the YAML itself")]


@hookimpl
def ragkit_rerankers() -> list[Component]:
    """Offer `short_first`."""
    return [Component("short_first", ShortFirstOptions, build_short_first, summary="prefers short chunks")]


def main() -> None:
    """Use both in a pipeline."""
    notes = {
        "groceries": "Buy milk, bread and two lemons on Friday.",
        "bicycle": "The bicycle's rear tyre needs 6 bar. " + "Check it before every longer tour. " * 10,
    }
    host = Host(plugins=[sys.modules[__name__]])
    with tempfile.TemporaryDirectory() as folder:
        settings = {"sources": [{"use": "notes", "name": "notes", "notes": notes}], "rerankers": ["short_first"]}
        with Pipeline(parse(settings, host, folder=Path(folder))) as pipeline:
            print("ingested:", pipeline.ingest().documents)
            for hit in pipeline.search("bicycle tyre, or milk?").to_dict()["hits"]:
                print(hit["rank"], hit["uri"], hit["ranks"])


if __name__ == "__main__":
    main()
