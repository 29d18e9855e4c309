"""What the context tells of a chunk's surroundings: neighbours, passages and vectors, read from a real ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode, NodeRelationship, TextNode

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.host import Host
from ragkit.query.hydrate import ChunkNode, passage
from ragkit.testing import FakeEmbedding, MemoryVectorStore, plugin

WORDS = ["one", "two", "three", "four", "five", "six"]
SPACE = {"one": "\n\n", "two": "   ", "three": "\n", "four": " ", "five": "\t", "six": ""}


def sentence(word: str) -> str:
    return f"Viele {word} 🌳 Sätze haben {word}zehn 漢字 im Text, und das ist “{word}” für immer."


def text_of(words: Sequence[str] = WORDS) -> str:
    return "# Title\n\n" + "".join(sentence(word) + SPACE[word] for word in words)


class Nothing(Options):
    """No options."""


class Loud(NodeParser):
    """Writes chunks in capitals, which stand nowhere in the document; the last is said twice."""

    def _parse_nodes(self, nodes: Sequence[BaseNode], show_progress: bool = False, **more: Any) -> list[BaseNode]:
        return [
            TextNode(text=line.upper(), relationships={NodeRelationship.SOURCE: node.as_related_node_info()})
            for node in nodes
            for line in [*node.get_content().split("\n"), node.get_content().split("\n")[-1]]
            if line
        ]


class Catches:
    """A retriever that keeps its context, and the chunker `loud`."""

    context: Any = None

    @hookimpl
    def ragkit_retrievers(self) -> list[Component]:
        def build(options: Nothing, context: Any) -> Any:
            self.context = context
            return context.legs["dense"]

        return [Component("catches", Nothing, build)]

    @hookimpl
    def ragkit_chunkers(self) -> list[Component]:
        return [Component("loud", Nothing, lambda options, context: Loud())]


class World:
    """An index over documents by uri, and the context that its retriever got."""

    def __init__(self, folder: Path, stack: ExitStack, chunker: Any) -> None:
        self.folder = folder
        self.stack = stack
        self.chunker = chunker
        self.catches = Catches()
        self.pipeline: Any = None

    def ingest(self, **documents: str) -> Any:
        """Bring the index up to date; gives the context of the first pipeline, which stays open."""
        values = {
            "name": "passages",
            "sources": [
                {
                    "use": "memory",
                    "name": "docs",
                    "documents": [
                        {"uri": uri, "text": text, "metadata": {"format": "markdown"}} for uri, text in documents.items()
                    ],
                }
            ],
            "chunker": self.chunker,
            "embedding": "fake",
            "vector_store": "fake",
            "keyword_store": "memory",
            "retriever": "catches",
        }
        path = self.folder / "ragkit.yaml"
        path.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        first = self.pipeline is None
        catches = self.catches if first else Catches()
        pipeline = self.stack.enter_context(Pipeline.from_yaml(path, host=Host(plugins=[plugin, catches], entry_points=False)))
        pipeline.ingest(allow_removals=True)
        if first:
            self.pipeline = pipeline
            self.stack.enter_context(pipeline._index.reading())
        return self.catches.context

    @property
    def reader(self) -> Any:
        return self.catches.context._offered.reader

    def ids(self, uri: str = "a") -> list[str]:
        """The chunks of a document in reading order."""
        return [chunk.id for chunk in sorted(self.reader.all(), key=lambda chunk: chunk.ordinal) if chunk.uri == uri]


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def world(chunker: Any = None) -> World:
            return World(tmp_path, stack, chunker or {"use": "sentence", "size": 24, "overlap": 0})

        yield world


@pytest.fixture
def world(make: Make) -> World:
    return make()


# passage


def test_the_text_is_the_document_s_with_what_lies_between(world: World) -> None:
    context = world.ingest(a=text_of(), b="Something else.")
    ids = world.ids()
    assert len(ids) == 6
    for first in range(6):
        for last in range(first, 6):
            node = context.passage(ids[first : last + 1])
            expected = "".join(sentence(word) + SPACE[word] for word in WORDS[first : last + 1])
            assert node.get_content() == ("# Title\n\n" + expected if first == 0 else expected).strip()
            assert text_of()[node.start_char_idx : node.end_char_idx] == node.get_content()
            assert isinstance(node, ChunkNode)


def test_its_id_and_metadata_are_those_of_the_first_id(world: World) -> None:
    context = world.ingest(a=text_of() + "\n\n# Other\n\n" + sentence("six"))
    ids = world.ids()
    node = context.passage([ids[4], ids[1], ids[6]])
    (chunk,) = context.hydrate([ids[4]])
    assert node.node_id == ids[4]
    assert node.metadata == chunk.node.metadata
    assert node.metadata["heading"] == "Title"
    assert node.ref_doc_id == chunk.node.ref_doc_id
    assert node.get_content().startswith(sentence("two"))
    assert node.get_content().endswith("# Other\n\n" + sentence("six"))


def test_overlapping_chunks_are_said_once(make: Make) -> None:
    world = make({"use": "token", "size": 16, "overlap": 8})
    context = world.ingest(a=text_of())
    ids = world.ids()
    assert len(ids) > 6
    assert sum(len(item.node.get_content()) for item in context.hydrate(ids)) > 1.5 * len(text_of())
    assert context.passage(ids).get_content() == text_of().strip()


def test_what_is_deleted_is_left_out(world: World) -> None:
    context = world.ingest(a=text_of(), b=text_of(WORDS[:2]))
    ids, others = world.ids(), world.ids("b")
    world.ingest(a=text_of(WORDS[:4]))
    assert context.passage(others) is None
    assert context.passage(["nonsense"]) is None
    assert context.passage([]) is None
    assert context.passage([*ids[4:], "nonsense"]) is None
    assert context.passage([ids[2], *ids[3:]]).get_content().split() == f"{sentence('three')} {sentence('four')}".split()


def test_a_chunker_that_writes_its_own_text(make: Make) -> None:
    world = make("loud")
    context = world.ingest(a="first line\nsecond line\nthird line")
    ids = world.ids()
    assert len(ids) == 4
    node = context.passage([ids[1], ids[0], *ids[2:]])
    assert node.get_content() == "FIRST LINE\n\nSECOND LINE\n\nTHIRD LINE"
    assert (node.node_id, node.start_char_idx, node.end_char_idx) == (ids[1], None, None)


class Late:
    """A reader before whose reading of a document, so many times, the document changes."""

    def __init__(self, world: World, times: int) -> None:
        self.world = world
        self.reader = world.reader
        self.times = times

    def chunks(self, ids: Sequence[str]) -> Any:
        return self.reader.chunks(ids)

    def document_of(self, chunk_id: str) -> Any:
        if self.times:
            self.times -= 1
            self.world.ingest(
                a=f"# News\n\nNumber {'1' * self.times} of so many that one wonders what it may all be good for.\n\n" + text_of()
            )
        return self.reader.document_of(chunk_id)


def test_a_document_that_changes_meanwhile_is_read_again(world: World) -> None:
    world.ingest(a=text_of())
    ids = world.ids()[1:4]
    late: Any = Late(world, 1)
    node = passage(late, ids)
    assert node is not None
    text = world.reader.document_of(ids[0]).text
    assert text.startswith("# News")
    assert text[node.start_char_idx : node.end_char_idx] == node.text
    assert node.text.startswith(sentence("two"))
    assert node.text.endswith(sentence("four"))


def test_a_document_that_never_rests_gives_its_chunks(world: World) -> None:
    world.ingest(a=text_of())
    ids = world.ids()[1:3]
    late: Any = Late(world, 99)
    node = passage(late, ids)
    assert node is not None
    assert node.text == f"{sentence('two')}\n\n{sentence('three')}"
    assert (node.start_char_idx, node.end_char_idx) == (None, None)


# neighbours


@pytest.mark.parametrize(
    ("place", "before", "after", "expected"),
    [(2, 1, 1, [1, 2, 3]), (2, 0, 0, [2]), (0, 3, 1, [0, 1]), (5, 1, 9, [4, 5]), (3, 9, 0, [0, 1, 2, 3]), (3, 99, 99, range(6))],
)
def test_neighbours_are_those_of_the_same_document(world: World, place: int, before: int, after: int, expected: Any) -> None:
    context = world.ingest(a=text_of(), b=text_of(WORDS[::-1]))
    ids = world.ids()
    near = context.neighbours(ids[place], before, after)
    assert [node.node_id for node in near] == [ids[one] for one in expected]


def test_neighbours_after_an_update(world: World) -> None:
    context = world.ingest(a=text_of())
    gone = world.ids()[2]
    world.ingest(a=text_of(["six", "five", "four", "two", "one"]))
    ids = world.ids()
    assert context.neighbours(gone) == []
    assert [node.node_id for node in context.neighbours(ids[2], 1, 2)] == ids[1:5]
    assert context.parent(ids[2]) is None


# vectors


def test_vectors_are_of_what_was_embedded(world: World) -> None:
    context = world.ingest(a=text_of(), b=text_of(WORDS[:2]))
    ids = world.ids()
    gone = world.ids("b")
    world.ingest(a=text_of())
    inputs = world.reader.inputs([*ids, *gone, "nonsense"])
    assert set(inputs) == set(ids)
    assert inputs[ids[1]] == f"Title\n\n{sentence('two')}"
    vectors = context.vectors([*ids, *gone, "nonsense"])
    assert set(vectors) == set(ids)
    for chunk_id in ids:
        assert vectors[chunk_id] == pytest.approx(FakeEmbedding().vector(inputs[chunk_id]), abs=1e-6)


def test_vectors_that_the_store_lacks_come_from_the_cache_then_from_the_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = world.ingest(a=text_of())
    ids = world.ids()
    whole = context.vectors(ids)
    embedding = context.embedding
    before = embedding.embedded
    stored = MemoryVectorStore.vectors
    monkeypatch.setattr(MemoryVectorStore, "vectors", lambda self, wanted: stored(self, [one for one in wanted if one != ids[3]]))
    found = context.vectors(ids)
    assert set(found) == set(ids)
    assert found[ids[3]] == pytest.approx(whole[ids[3]], abs=1e-6)
    assert embedding.embedded == before
    monkeypatch.setattr(embedding._cache, "get", lambda *asked, **how: {})
    assert context.vectors(ids)[ids[3]] == pytest.approx(whole[ids[3]], abs=1e-6)
    assert embedding.embedded == before + 1
