"""What holds for both chunkers, with three families of tokenizers and any text."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import Document, NodeRelationship, TextNode
from pydantic import ValidationError

from ragkit.builtin.chunkers import ChunkerOptions, SentenceOptions, TokenOptions, ragkit_chunkers, resolve_size
from ragkit.builtin.chunkers.spans import SpanChunker
from ragkit.components import Role, Tokenizer
from ragkit.errors import ComponentError
from ragkit.words import splits_at_space

KINDS = ("sentence", "token")
FAMILIES = ("wordpiece", "bytepairs", "words")


@dataclass(frozen=True)
class Context:
    tokenizer: Any


def build(kind: str, tokenizer: Tokenizer, **options: Any) -> SpanChunker:
    component = next(component for component in ragkit_chunkers() if component.name == kind)
    chunker = component.build(component.options(**options), Context(tokenizer))  # type: ignore[arg-type]
    assert isinstance(chunker, SpanChunker)
    assert isinstance(chunker, NodeParser)
    return chunker


@pytest.fixture(params=FAMILIES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


PIECES = [
    "A sentence. ", "Another one! ", "\n\n", "\n", "# Heading\n\n", "## Part\n\n", "```\ncode = 1\n```\n", "```\n", "- item\n",
    "word ", "漢字。", "👩\u200d👩\u200d👧", "\u00a0", "\u200b", "\u0000", "\u001c", "\u0085", "\u2028", "\f", "e\u0301",
    "naïve ", "x" * 150, "-" * 80, "a|b|c\n", "http://example.org/a?b=c#d ", "\ud800", "  ", "Dr. Who said: ", "\t", "\ufffd",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(), max_size=12), max_size=60).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS, size=st.integers(16, 40), overlap=st.integers(0, 15))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(kind: str, tokenizer: Any, text: str, size: int, overlap: int) -> None:
    chunker = build(kind, tokenizer, size=size, overlap=overlap)
    text = text.encode("utf-8", "ignore").decode()  # a tokenizer takes no lone surrogate, and no document has one
    spans = chunker.spans(text)
    assert spans == chunker.spans(text), "deterministic"
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans), "trimmed, never empty"
    assert max(tokenizer.count([text[start:end] for start, end in spans]), default=0) <= size, "limits held"
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(spans)), "in order"
    kept = {position for span in spans for position in range(*span)}
    assert all(character.isspace() for position, character in enumerate(text) if position not in kept), "nothing lost"


@pytest.mark.parametrize("kind", KINDS)
def test_real_pages_are_never_truncated(kind: str, data: Path, wordpiece: Any) -> None:
    chunker = build(kind, wordpiece)
    for path in sorted((data / "fastapi_docs" / "tutorial").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        spans = chunker.spans(text)
        assert max(wordpiece.count([text[start:end] for start, end in spans])) <= chunker.size
        assert chunker.size + 32 + wordpiece.special_tokens <= wordpiece.max_tokens
        kept = bytearray(len(text))
        for start, end in spans:
            kept[start:end] = b"\1" * (end - start)
        assert all(character.isspace() for character, seen in zip(text, kept, strict=True) if not seen)


@pytest.mark.parametrize("kind", KINDS)
def test_nodes_bear_offsets_metadata_and_source(kind: str, words: Any) -> None:
    text = "Same words here. " * 40  # LlamaIndex finds the first of equal texts for all of them
    document = Document(text=text, id_="doc", metadata={"title": "T", "tags": ["a"]}, excluded_embed_metadata_keys=["tags"])
    nodes = build(kind, words, size=16, overlap=4).get_nodes_from_documents([document, Document(text=" \n", id_="empty")])
    starts = []
    for node in nodes:
        assert isinstance(node, TextNode)
        assert node.start_char_idx is not None
        assert node.text == text[node.start_char_idx : node.end_char_idx]
        assert node.ref_doc_id == "doc"
        assert node.metadata == {"title": "T", "tags": ["a"]}
        assert node.metadata is not document.metadata
        assert node.excluded_embed_metadata_keys == ["tags"]
        assert set(node.relationships) == {NodeRelationship.SOURCE}
        starts.append(node.start_char_idx)
    assert starts == sorted(set(starts))
    assert len({node.node_id for node in nodes}) == len(nodes) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_works_in_llamaindex_as_any_node_parser(kind: str, words: Any) -> None:
    chunker = build(kind, words, size=16, overlap=0)
    chunker.include_prev_next_rel = True
    nodes = IngestionPipeline(transformations=[chunker]).run(documents=[Document(text="One two three four five. " * 20)])
    assert [node.next_node.node_id for node in nodes[:-1] if node.next_node] == [node.node_id for node in nodes[1:]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", " \n\t\f\n "])
def test_no_text_no_chunks(kind: str, text: str, words: Any) -> None:
    assert build(kind, words).get_nodes_from_documents([Document(text=text)]) == []


SIZES: list[tuple[dict[str, Any], int]] = [
    ({}, 220),
    ({"lead": "title"}, 220),
    ({"lead": "none"}, 254),
    ({"size": 64}, 64),
    ({"size": 1000}, 1000),
]


@pytest.mark.parametrize(("options", "size"), SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_what_the_model_reads_less_what_leads(kind: str, options: dict[str, Any], size: int, wordpiece: Any) -> None:
    chunker = build(kind, wordpiece, **options)
    assert (chunker.size, chunker.lead, chunker.overlap) == (size, options.get("lead", "headings"), 32)


def test_the_size_for_a_model_without_limit(words: Any) -> None:
    assert build("sentence", words).size == 256


@dataclass(frozen=True)
class Short:
    max_tokens: int
    special_tokens: int = 2


def test_a_model_that_reads_too_little() -> None:
    with pytest.raises(ComponentError, match=r"leaves 5 for a chunk after 34 for its lead\n.*`lead: none`"):
        resolve_size(ChunkerOptions(), Context(Short(41)))  # type: ignore[arg-type]
    with pytest.raises(ComponentError, match=r"overlap \(200\) must be smaller than size \(128\)\n.*`chunker.overlap`"):
        resolve_size(ChunkerOptions(overlap=200, lead="none"), Context(Short(130)))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"size": 8}, {"size": 32, "overlap": 32}, {"overlap": -1}, {"lead": "all"}, {"colour": 1}])
@pytest.mark.parametrize("model", [SentenceOptions, TokenOptions])
def test_bad_options(model: type[ChunkerOptions], options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model(**options)


def test_every_option_changes_the_index() -> None:
    for component in ragkit_chunkers():
        assert {component.options.role(field) for field in component.options.model_fields} == {Role.IDENTITY}


def test_which_tokenizers_need_no_second_count(wordpiece: Any, bytepairs: Any, words: Any) -> None:
    assert [splits_at_space(tokenizer) for tokenizer in (wordpiece, words, bytepairs)] == [True, True, False]


ODD_TEXTS = {
    "lines": "a\n" * 50_000,
    "blob": "aGk" * 100_000,
    "words": "lorem ipsum " * 20_000,
    "cjk": "漢字仮名" * 10_000,
    "spaces": " " * 300_000 + "x" + " " * 300_000,
    "controls": "\1\n" * 50_000,
    "fences": "```\n" * 20_000,
    "headings": "# a\n" * 20_000,
    "hashes": "#" * 100_000,
    "emoji": "👩\u200d👧" * 20_000,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
@pytest.mark.timeout(60)
def test_odd_texts_take_bounded_time_and_space(kind: str, text: str, wordpiece: Any) -> None:
    chunker = build(kind, wordpiece)
    spans = chunker.spans(text)
    assert max(wordpiece.count([text[start:end] for start, end in spans])) <= chunker.size
    assert max(end - start for start, end in spans) <= 32 * chunker.size
