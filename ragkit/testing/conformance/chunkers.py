"""The suite for chunkers: exact offsets, nothing lost, limits, overlap, determinism, any unicode, and many documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode

from ragkit.components import Component, Tokenizer
from ragkit.testing.conformance.claims import prepare
from ragkit.testing.conformance.texts import BLANK, DOCUMENTS, ODD, PIECES, REPEATED
from ragkit.testing.context import build_context
from ragkit.text import LEAD_TOKENS
from ragkit.words import WordTokenizer

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding

_PACKAGE = "ragkit.testing.conformance."
_EXAMPLES = 30
_LEAD_SEPARATOR_TOKENS = 2


class ChunkerSuite:
    """The tests of a chunker; see `ragkit.testing.conformance`.

    A subclass names `component`. It may give YAML options with `sample_options`, the `most_overlap` that neighbouring chunks may
    share where the options `overlap` and `unit` do not say so, and another `tokenizer` or `embedding` with fixtures. A chunker
    may have an attribute `lead`: unless that is `none`, its chunks have to leave room for 34 tokens before them.
    """

    component: ClassVar[Component]
    sample_options: ClassVar[Mapping[str, Any]] = {}
    most_overlap: ClassVar[int | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not f"{cls.__module__}.".startswith(_PACKAGE):
            prepare(cls, _PACKAGE)

    # What an author may replace

    @pytest.fixture
    def tokenizer(self) -> Tokenizer:
        """The embedding's tokenizer; it should read about a hundred tokens, so that short texts make several chunks."""
        return WordTokenizer(max_tokens=96, special_tokens=2)

    @pytest.fixture
    def embedding(self) -> BaseEmbedding | None:
        """The embedding, for a chunker that cuts with it; None means a fake one."""
        return None

    # What the tests use

    @pytest.fixture
    def make(self, tokenizer: Tokenizer, embedding: BaseEmbedding | None, tmp_path: Path) -> Callable[[], Any]:
        """Builds the chunker anew."""
        options = self.component.options.model_validate(dict(self.sample_options))
        context = build_context(tmp_path, tokenizer=tokenizer, embedding=embedding)
        return lambda: self.component.build(options, context)

    def _shared(self, tokenizer: Tokenizer) -> tuple[int, Callable[[str], int]]:
        """How much neighbours may share, and what counts it."""
        options = self.component.options.model_validate(dict(self.sample_options))
        said = self.most_overlap if self.most_overlap is not None else getattr(options, "overlap", 0)
        return said, len if getattr(options, "unit", "tokens") == "characters" else lambda text: tokenizer.count([text])[0]

    def test_it_is_a_llamaindex_node_parser(self, make: Callable[[], Any]) -> None:
        """Build a LlamaIndex `NodeParser` that makes `TextNode`s."""
        parser = make()
        assert isinstance(parser, NodeParser)
        nodes = parser.get_nodes_from_documents(documents())
        assert nodes
        assert all(isinstance(node, TextNode) for node in nodes)

    def test_offsets_are_exact(self, make: Callable[[], Any]) -> None:
        """Set `start_char_idx` and `end_char_idx` to where the chunk's text stands in its document: citations rely on it."""
        for document in documents():
            for start, end, text in spans(make(), document):
                assert document.text[start:end] == text

    def test_equal_passages_have_offsets_of_their_own(self, make: Callable[[], Any]) -> None:
        """Remember where a chunk was cut: a search for its text finds the first of several equal ones."""
        assert lost(REPEATED, spans(make(), Document(text=REPEATED))) == ""

    def test_nothing_is_lost_but_space(self, make: Callable[[], Any]) -> None:
        """Leave out nothing but space between two chunks, and before the first and behind the last."""
        for document in documents():
            assert lost(document.text, spans(make(), document)) == ""

    def test_the_model_reads_every_chunk_whole(self, make: Callable[[], Any], tokenizer: Tokenizer) -> None:
        """Count in `context.tokenizer`: a chunk with special tokens and lead has at most `max_tokens`, and at most `size`."""
        parser = make()
        for text in (*(document.text for document in documents()), *ODD.values()):
            assert most(tokenizer, spans(parser, Document(text=text))) <= self._limit(parser, tokenizer)

    def test_chunks_share_no_more_than_is_said(self, make: Callable[[], Any], tokenizer: Tokenizer) -> None:
        """Repeat at most `overlap` of the chunk before; a chunker without that option repeats nothing."""
        allowed, count = self._shared(tokenizer)
        for document in documents():
            for (_, end, _), (start, _, _) in pairwise(spans(make(), document)):
                assert start >= end or count(document.text[start:end].strip()) <= allowed

    def test_chunks_are_in_reading_order(self, make: Callable[[], Any]) -> None:
        """Hand the chunks over in the order in which they begin, and none that lies within another."""
        for document in documents():
            for one, other in pairwise(spans(make(), document)):
                assert one[0] < other[0]
                assert one[1] < other[1]

    def test_no_chunk_is_empty(self, make: Callable[[], Any]) -> None:
        """Make no chunk of nothing, or of space alone."""
        for text in (*(document.text for document in documents()), *ODD.values()):
            assert all(text.strip() for _, _, text in spans(make(), Document(text=text)))

    @pytest.mark.parametrize("what", BLANK)
    def test_without_text_there_are_no_chunks(self, make: Callable[[], Any], what: str) -> None:
        """Make no chunk of a document that has no text."""
        assert make().get_nodes_from_documents([Document(text=BLANK[what])]) == []

    def test_the_same_document_has_the_same_chunks(self, make: Callable[[], Any]) -> None:
        """Let text, metadata and options decide alone: no chance, no time, and nothing that was cut before."""
        parser = make()
        first = [told(parser, [document]) for document in documents()]
        assert [told(parser, [document]) for document in reversed(documents())][::-1] == first
        assert [told(make(), [document]) for document in documents()] == first

    def test_many_documents_at_once_are_cut_as_one_by_one(self, make: Callable[[], Any]) -> None:
        """Cut each document for itself; what a chunker is handed together need not belong together."""
        alone = [item for document in documents() for item in told(make(), [document])]
        assert told(make(), documents()) == alone

    def test_the_async_twin_gives_the_same(self, make: Callable[[], Any]) -> None:
        """Let `aget_nodes_from_documents` do what `get_nodes_from_documents` does."""
        nodes = asyncio.run(make().aget_nodes_from_documents(documents()))
        assert [picture(node) for node in nodes] == told(make(), documents())

    def test_threads_may_share_it(self, make: Callable[[], Any]) -> None:
        """Keep what belongs to a document in local variables: several may be cut at once."""
        parser = make()
        alone = [told(make(), [document]) for document in documents()]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda document: told(parser, [document]), documents() * 4))
        assert together == alone * 4

    def test_metadata_are_kept(self, make: Callable[[], Any]) -> None:
        """Give each chunk its document's metadata, in a copy of its own, and the document as its source."""
        document = documents()[0]
        nodes = make().get_nodes_from_documents([document])
        for node in nodes:
            assert document.metadata.items() <= node.metadata.items()
            assert node.metadata is not document.metadata
            assert node.ref_doc_id == document.id_
            assert node.excluded_embed_metadata_keys == document.excluded_embed_metadata_keys
        assert len({node.node_id for node in nodes}) == len(nodes)
        assert len({id(node.metadata) for node in nodes}) == len(nodes)

    def test_documents_stay_as_they_are(self, make: Callable[[], Any]) -> None:
        """Change nothing in a document that is handed in; others have it too."""
        given = documents()
        before = [document.model_dump_json() for document in given]
        make().get_nodes_from_documents(given)
        assert [document.model_dump_json() for document in given] == before

    @pytest.mark.parametrize("what", ODD)
    def test_odd_texts(self, make: Callable[[], Any], what: str) -> None:
        """Cut text without spaces, of combining marks, in any script and with any line ends, exactly and without loss."""
        text = ODD[what]
        found = spans(make(), Document(text=text))
        assert all(text[start:end] == chunk for start, end, chunk in found)
        assert lost(text, found) == ""

    def test_any_text(self, make: Callable[[], Any], tokenizer: Tokenizer) -> None:
        """Hold all of the above for whatever text there is."""
        hypothesis = pytest.importorskip("hypothesis", reason="pip install hypothesis")
        strategies = pytest.importorskip("hypothesis.strategies")
        characters = strategies.characters(exclude_categories=["Cs"])
        pieces = strategies.sampled_from(PIECES) | strategies.text(characters, max_size=12)
        parser = make()

        def cut(text: str) -> None:
            for form in ("markdown", "text"):
                found = spans(parser, Document(text=text, metadata={"format": form}))
                assert all(text[start:end] == chunk and chunk.strip() for start, end, chunk in found)
                assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(found))
                assert most(tokenizer, found) <= self._limit(parser, tokenizer)
                assert lost(text, found) == ""

        settings = hypothesis.settings(
            max_examples=_EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        several = strategies.lists(pieces, min_size=40, max_size=80)  # more than one chunk
        texts = (strategies.lists(pieces, max_size=10) | several).map("".join)
        settings(hypothesis.given(texts)(cut))()

    def _limit(self, parser: Any, tokenizer: Tokenizer) -> int:
        """How many tokens a chunk may have."""
        lead = LEAD_TOKENS + _LEAD_SEPARATOR_TOKENS if getattr(parser, "lead", "none") != "none" else 0
        reads = None if tokenizer.max_tokens is None else tokenizer.max_tokens - tokenizer.special_tokens - lead
        options = self.component.options.model_validate(dict(self.sample_options))
        in_tokens = getattr(options, "unit", "tokens") == "tokens"
        said = [limit for limit in (getattr(options, "size", None) if in_tokens else None, reads) if limit is not None]
        return min(said, default=1 << 30)


def documents() -> list[Document]:
    """The documents that are cut."""
    return [
        Document(
            text=text,
            id_=name,
            metadata={"uri": name, "title": name, "tags": ["a", "b"], **metadata},
            excluded_embed_metadata_keys=["tags"],
        )
        for name, (text, metadata) in DOCUMENTS.items()
    ]


def spans(parser: Any, document: Document) -> list[tuple[int, int, str]]:
    """Where each chunk says that it stands, and its text."""
    nodes = parser.get_nodes_from_documents([document])
    assert all(node.start_char_idx is not None and node.end_char_idx is not None for node in nodes)
    return [(node.start_char_idx, node.end_char_idx, node.get_content(metadata_mode=MetadataMode.NONE)) for node in nodes]


def lost(text: str, found: Sequence[tuple[int, int, str]]) -> str:
    """What of a text is in no chunk, without space."""
    rest: list[str] = []
    behind = 0
    for start, end, _ in sorted(found):
        rest.append(text[behind:start])
        behind = max(behind, end)
    return "".join("".join([*rest, text[behind:]]).split())


def most(tokenizer: Tokenizer, found: Sequence[tuple[int, int, str]]) -> int:
    """The tokens of the largest chunk."""
    return max(tokenizer.count([text for _, _, text in found]), default=0)


def told(parser: Any, given: Sequence[Document]) -> list[Any]:
    """The chunks of documents, to compare."""
    return [picture(node) for node in parser.get_nodes_from_documents(list(given))]


def picture(node: BaseNode) -> Any:
    """What a chunk says, but for its id."""
    where = (getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None))
    return node.get_content(metadata_mode=MetadataMode.NONE), *where, dict(node.metadata), node.ref_doc_id
