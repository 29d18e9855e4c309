"""Built-in chunkers for tests: built from their options, with the words of a text as its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llama_index.core.schema import Document

from ragkit.builtin import chunkers, nested, structure
from ragkit.builtin.chunkers.spans import SpanChunker
from ragkit.components import Component, Kind, Spec, Tokenizer
from ragkit.testing import build_context
from ragkit.words import WordTokenizer

OFFERED: dict[str, Component] = {
    component.name: component for module in (chunkers, structure, nested) for component in module.ragkit_chunkers()
}


def spec(name: str, **options: Any) -> Spec:
    """A nested chunker."""
    return Spec(Kind.CHUNKER, OFFERED[name], OFFERED[name].options.model_validate(options), name)


def build(folder: Path, name: str, *, tokenizer: Tokenizer | None = None, embedding: Any = None, **options: Any) -> SpanChunker:
    """A chunker; its tokenizer reads 256 tokens unless another one is given."""
    context = build_context(folder, tokenizer=tokenizer or WordTokenizer(), embedding=embedding)
    made = context.build(spec(name, **options))
    assert isinstance(made, SpanChunker)
    return made


def cut(chunker: SpanChunker, text: str, **metadata: Any) -> list[str]:
    """The texts of the chunks."""
    return [node.get_content() for node in chunker.get_nodes_from_documents([Document(text=text, id_="d", metadata=metadata)])]
