"""Chunkers that are each wrong in one way, with the tests of the conformance suite that have to fail for them.

Not collected by itself: `tests/testing/test_chunker_conformance_catches.py` runs it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from llama_index.core.node_parser import NodeParser, SentenceSplitter
from llama_index.core.schema import BaseNode, TextNode

from ragkit import Component, identity
from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.builtin.chunkers.sizes import ChunkerOptions, resolve_size
from ragkit.builtin.chunkers.spans import Span
from ragkit.testing.conformance import ChunkerSuite, overrides

FAILS: dict[str, list[str]] = {}
"""Of each class, the tests that have to fail."""


def fails(*tests: str) -> Callable[[type], type]:
    def note(suite: type) -> type:
        FAILS[suite.__name__] = list(tests)
        return suite

    return note


class Options(ChunkerOptions):
    overlap: int = identity(0, description="as said")


class Sound(SentenceChunker):
    """`sentence`; a subclass does one thing wrong with the spans, or with the nodes."""

    def spans(self, text: str, *, markdown: bool = True) -> list[Span]:
        return self.wrong(super().spans(text, markdown=markdown), text)

    def wrong(self, spans: list[Span], text: str) -> list[Span]:
        return spans

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return self.spoilt(super()._parse_nodes(nodes), nodes)

    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        return chunks


def chunker(made: Callable[..., NodeParser], **fields: Any) -> Component:
    def build(options: Options, context: Any) -> NodeParser:
        size = resolve_size(options, context)
        return made(**{"tokenizer": context.tokenizer, "size": size, "overlap": options.overlap, "lead": options.lead, **fields})

    return Component("broken", Options, build)


class TestSound(ChunkerSuite):
    component = chunker(Sound)


class TestSoundWithReason(ChunkerSuite):
    component = chunker(Sound)

    @overrides("to see that a suite can be replaced in part")
    def test_threads_may_share_it(self) -> None:
        pass


class Shifted(Sound):
    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        return [chunk.model_copy(update={"start_char_idx": chunk.start_char_idx + 1}) for chunk in chunks]


@fails("test_offsets_are_exact", "test_odd_texts[thai]", "test_any_text")
class TestShifted(ChunkerSuite):
    component = chunker(Shifted)


class Searching(Sound):
    """Finds each text again, and so the first of equal ones."""

    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        texts = {document.node_id: document.get_content() for document in documents}
        places = [texts[chunk.ref_doc_id].find(chunk.text) for chunk in chunks]
        return [
            chunk.model_copy(update={"start_char_idx": place, "end_char_idx": place + len(chunk.text)})
            for chunk, place in zip(chunks, places, strict=True)
        ]


@fails("test_equal_passages_have_offsets_of_their_own")
class TestSearching(ChunkerSuite):
    component = chunker(Searching)


class Forgetful(Sound):
    def wrong(self, spans: list[Span], text: str) -> list[Span]:
        return [(start, end - (text[end - 1] in ".!?。")) for start, end in spans]


@fails("test_nothing_is_lost_but_space", "test_odd_texts[windows lines]", "test_any_text")
class TestForgetful(ChunkerSuite):
    component = chunker(Forgetful)


class Generous(Sound):
    def wrong(self, spans: list[Span], text: str) -> list[Span]:
        pairs = itertools.zip_longest(spans[::2], spans[1::2], fillvalue=spans[-1]) if spans else ()
        return [(one[0], other[1]) for one, other in pairs]


@fails("test_the_model_reads_every_chunk_whole", "test_any_text")
class TestGenerous(ChunkerSuite):
    component = chunker(Generous)


@fails("test_the_model_reads_every_chunk_whole")
class TestCountingOtherwise(ChunkerSuite):
    """LlamaIndex's own, which counts in another tokenizer."""

    component = chunker(lambda size, **others: SentenceSplitter(chunk_size=size, chunk_overlap=0), lead="none")
    sample_options = {"size": 60}  # noqa: RUF012


@fails("test_chunks_share_no_more_than_is_said")
class TestRepeating(ChunkerSuite):
    component = chunker(Sound, overlap=20)


class Backwards(Sound):
    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        return chunks[::-1]


@fails("test_chunks_are_in_reading_order", "test_many_documents_at_once_are_cut_as_one_by_one", "test_any_text")
class TestBackwards(ChunkerSuite):
    component = chunker(Backwards)


class Blank(Sound):
    def wrong(self, spans: list[Span], text: str) -> list[Span]:
        return [*spans, (len(text), len(text))]


@fails("test_no_chunk_is_empty", "test_without_text_there_are_no_chunks[nothing]", "test_any_text")
class TestBlank(ChunkerSuite):
    component = chunker(Blank)


class Moody(Sound):
    """Each cut depends on how many there were before."""

    def wrong(self, spans: list[Span], text: str) -> list[Span]:
        turn = next(COUNTER)
        (first, end), *rest = spans or [(0, 0)]
        middle = text.find(" ", first + turn % 7, end)
        return spans if middle <= first else [(first, middle), (middle + 1, end), *rest]


COUNTER = itertools.count()


@fails("test_the_same_document_has_the_same_chunks", "test_the_async_twin_gives_the_same", "test_threads_may_share_it")
class TestMoody(ChunkerSuite):
    component = chunker(Moody)


class Joining(Sound):
    """Cuts all documents as if they were one."""

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        found = super()._parse_nodes(nodes)
        return found[: len(found) - len(nodes) + 1]


@fails("test_many_documents_at_once_are_cut_as_one_by_one")
class TestJoining(ChunkerSuite):
    component = chunker(Joining)


class OtherTwin(Sound):
    async def _aparse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return self._parse_nodes(nodes)[1:]


@fails("test_the_async_twin_gives_the_same")
class TestOtherTwin(ChunkerSuite):
    component = chunker(OtherTwin)


class Bare(Sound):
    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        return [chunk.model_copy(update={"metadata": {}}) for chunk in chunks]


@fails("test_metadata_are_kept")
class TestBare(ChunkerSuite):
    component = chunker(Bare)


class Borrowing(Sound):
    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        for chunk in chunks:
            # past pydantic, which would copy
            chunk.__dict__["metadata"] = next(document.metadata for document in documents if document.node_id == chunk.ref_doc_id)
        return chunks


@fails("test_metadata_are_kept")
class TestBorrowing(ChunkerSuite):
    component = chunker(Borrowing)


class Writing(Sound):
    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        for document in documents:
            document.metadata["chunks"] = len(chunks)
        return chunks


@fails("test_documents_stay_as_they_are")
class TestWriting(ChunkerSuite):
    component = chunker(Writing)


class Splitting(Sound):
    """Works with Python's idea of lines, and joins them with another one."""

    def spoilt(self, chunks: list[Any], documents: Sequence[Any]) -> list[Any]:
        return [
            TextNode(**{**chunk.model_dump(exclude={"text"}), "text": "\n".join(chunk.text.splitlines())}) for chunk in chunks
        ]


@fails("test_odd_texts[windows lines]", "test_odd_texts[control characters]")
class TestSplitting(ChunkerSuite):
    component = chunker(Splitting)


@fails("test_it_is_a_llamaindex_node_parser")
class TestNoParser(ChunkerSuite):
    component = Component("broken", Options, lambda options, context: object())
