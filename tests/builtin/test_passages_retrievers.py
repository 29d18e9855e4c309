"""`mmr`, `sentence_window` and `auto_merging`: what they hand out, in a real pipeline over the fakes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from projects import Project

from ragkit import Component, Options, Pipeline, hookimpl
from ragkit.builtin.passages import (
    AutoMergingOptions,
    MMROptions,
    SentenceWindowOptions,
)
from ragkit.builtin.passages.base import Around, Passage, without_doubles
from ragkit.builtin.passages.merging import AutoMergingRetriever, together
from ragkit.builtin.passages.window import Windows
from ragkit.errors import ConfigError
from ragkit.host import Host
from ragkit.query.search import SearchResult
from ragkit.state.reader import Reader
from ragkit.testing import FakeRun, MemoryVectorStore, build_context, plugin

TREES = [
    "alder", "birch", "cedar", "dogwood", "elder", "fir", "gorse", "hazel", "ivy", "juniper", "kapok", "larch", "maple", "nutmeg",
    "oak", "pine", "quince", "rowan",
]  # fmt: skip


def sentence(tree: str) -> str:
    """One chunk, which only a question with the name of its tree finds by keywords."""
    return f"The {tree} stands alone on {tree}hill, where {tree}birds sing about {tree}nuts until the {tree}leaves fall."


WOOD = " ".join(map(sentence, TREES))


def document(text: str = WOOD, uri: str = "wood.md", **metadata: Any) -> dict[str, Any]:
    return {"uri": uri, "text": text, "metadata": {"format": "markdown", **metadata}}


class Listed(Options):
    """No options."""


class Given:
    """A retriever `given` that finds the chunks of these trees in this order, or all in reading order; `asked` has every k."""

    def __init__(self, *order: str) -> None:
        self.order = order
        self.asked: list[int] = []

    @hookimpl
    def ragkit_retrievers(self) -> list[Component]:
        def build(options: Listed, context: Any) -> Any:
            given_by = self

            class Finds:
                name = "given"

                def search(self, query: QueryBundle, k: int, filters: Any = None) -> Any:
                    given_by.asked.append(k)
                    nodes = sorted(context.nodes(), key=lambda node: node.start_char_idx)
                    if given_by.order:
                        nodes = [node for tree in given_by.order for node in nodes if f"The {tree} stands" in node.text]
                    ids = [node.node_id for node in nodes][:k]
                    return ids, [1 / place for place in range(1, len(ids) + 1)]

                def score(self, query: QueryBundle, ids: Sequence[str]) -> None:
                    return None

            return Finds()

        return [Component("given", Listed, build)]


class World:
    """Projects in a folder, whose stores are fakes; `size` is such that a sentence is a chunk."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack

    def ingest(self, documents: Sequence[Mapping[str, Any]], *, overlap: int = 0, size: int = 20) -> None:
        self.chunker = {"use": "sentence", "size": size, "overlap": overlap}
        self.documents = list(documents)
        self.open("dense").ingest(allow_removals=True)

    def open(self, retriever: Any, *plugins: object, **more: Any) -> Pipeline:
        values = {
            "name": "wood",
            "sources": [{"use": "memory", "name": "docs", "documents": self.documents}],
            "chunker": self.chunker,
            "embedding": "fake",
            "vector_store": "fake",
            "keyword_store": "memory",
            "retriever": retriever,
            **more,
        }
        path = self.folder / "ragkit.yaml"
        path.write_text(json.dumps(values, ensure_ascii=False), "utf-8")
        return self.stack.enter_context(Pipeline.from_yaml(path, host=Host(plugins=[plugin, *plugins], entry_points=False)))

    def search(self, retriever: Any, question: str, **more: Any) -> SearchResult:
        pipeline = self.open(retriever)
        found = pipeline.search(question, **more)
        check(pipeline, found.nodes)
        return found

    def chunk_id(self, tree: str) -> str:
        return self.search("keyword", tree, k=1).hits[0].chunk_id

    def found(self, retriever: Any, *order: str, **more: Any) -> SearchResult:
        """What comes of hits that are given."""
        pipeline = self.open(retriever, Given(*order))
        found = pipeline.search("anything", **more)
        check(pipeline, found.nodes)
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
def wood(world: World) -> World:
    """One document of 18 chunks, a tree in each, without a heading."""
    world.ingest([document()])
    return world


def window(retriever: Any = "keyword", **options: Any) -> dict[str, Any]:
    return {"use": "sentence_window", "retriever": retriever, **options}


def merging(retriever: Any = "keyword", **options: Any) -> dict[str, Any]:
    return {"use": "auto_merging", "retriever": retriever, **options}


def mmr(retriever: Any = "keyword", **options: Any) -> dict[str, Any]:
    return {"use": "mmr", "retriever": retriever, **options}


def trees(found: SearchResult) -> list[str]:
    """The trees of each hit."""
    return [" ".join(tree for tree in TREES if f"The {tree} stands" in hit.text) for hit in found.hits]


def check(pipeline: Pipeline, nodes: Sequence[NodeWithScore]) -> None:
    """What has to hold of all that is handed out: living chunks, true places, no text twice, scores that never rise."""
    reader = Reader(pipeline._index.ledger, pipeline._index.live())
    ids = [item.node.node_id for item in nodes]
    assert len(set(ids)) == len(ids)
    assert set(reader.alive(ids)) == set(ids)
    spans: dict[str, list[tuple[int, int]]] = {}
    for item in nodes:
        node = item.node
        page = reader.document_of(node.node_id)
        assert page is not None
        assert page.text[node.start_char_idx : node.end_char_idx] == node.get_content()
        (chunk,) = reader.chunks([node.node_id])
        assert node.metadata.get("heading", "") == chunk.heading
        spans.setdefault(page.id, []).append((node.start_char_idx, node.end_char_idx))
    for places in spans.values():
        places.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(places))
    scores = [item.score for item in nodes]
    assert scores == sorted(scores, reverse=True)


def stage(found: SearchResult, name: str) -> Any:
    (record,) = (record for record in found.trace.stages if record.name == name)
    return record


# sentence_window


def test_a_hit_comes_with_the_chunks_around_it(wood: World) -> None:
    found = wood.search(window(), "hazel", k=3)
    plain = wood.search("keyword", "hazel", k=3)
    assert trees(found) == ["gorse hazel ivy"]
    (hit,), (chunk,) = found.hits, plain.hits
    assert (hit.chunk_id, hit.score, hit.document_id) == (chunk.chunk_id, chunk.score, chunk.document_id)
    assert hit.ranks == {"keyword": 1, "sentence_window": 1}
    assert hit.text == " ".join(map(sentence, ["gorse", "hazel", "ivy"]))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0, 0, "hazel"), (2, 0, "fir gorse hazel"), (0, 3, "hazel ivy juniper kapok"), (50, 50, " ".join(TREES))],
)
def test_a_window_reaches_as_far_as_it_is_told(wood: World, before: int, after: int, expected: str) -> None:
    assert trees(wood.search(window(before=before, after=after), "hazel")) == [expected]


@pytest.mark.parametrize(("question", "expected"), [("alder", "alder birch"), ("rowan", "quince rowan")])
def test_a_window_ends_where_the_document_does(world: World, question: str, expected: str) -> None:
    world.ingest([document(uri="a.md"), document(sentence("teak"), uri="b.md")])
    assert trees(world.search(window(), question)) == [expected]


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ("fir gorse", ["elder fir gorse hazel"]),  # next to each other
        ("hazel fir", ["elder fir gorse hazel ivy"]),  # both have gorse
        ("fir ivy", ["elder fir gorse", "hazel ivy juniper"]),  # side by side
        ("fir birch", ["elder fir gorse", "alder birch cedar"]),
        ("fir ivy hazel", ["elder fir gorse hazel ivy juniper"]),  # hazel joins them
        ("fir hazel juniper larch", ["elder fir gorse hazel ivy juniper kapok", "larch maple"]),  # more would be too long
    ],
)
def test_windows_that_meet_are_one_passage(wood: World, hits: str, expected: list[str]) -> None:
    best, *others = hits.split()
    found = wood.found(window("given"), best, *others, k=5)
    assert trees(found) == expected
    assert (found.hits[0].chunk_id, found.hits[0].score) == (wood.chunk_id(best), 1.0)
    told = stage(found, "sentence_window")
    count = 1 + len(others)
    assert (told.entered, told.out) == (count, len(expected))
    assert told.detail == (f"{count} hits stand in {len(expected)} passages" if count > len(expected) else "")


def test_passages_stay_short_however_much_is_found(wood: World) -> None:
    for found in (wood.search(window(), " ".join(TREES), k=18), wood.found(window("given"), *TREES[::2], *TREES[1::2], k=18)):
        assert len(found.hits) >= 3
        assert max(map(len, map(str.split, trees(found)))) <= 8
        assert sorted(" ".join(trees(found)).split()) == TREES


def test_merged_windows_are_replaced_by_the_next_best(wood: World) -> None:
    hits = "fir gorse hazel pine birch".split()  # noqa: SIM905 - as in the other tests
    assert trees(wood.found(window("given"), *hits, k=3)) == ["elder fir gorse hazel ivy", "oak pine quince", "alder birch cedar"]
    assert trees(wood.found(window("given"), *hits, k=2)) == ["elder fir gorse hazel ivy", "oak pine quince"]
    assert trees(wood.found(window("given"), *hits, k=1)) == ["elder fir gorse"]


def test_more_hits_are_taken_until_there_are_enough_passages(world: World) -> None:
    world.ingest([document(" ".join(sentence(f"{tree}{n}") for n in range(10) for tree in TREES))])
    given = Given()
    pipeline = world.open(window("given"), given)
    found = pipeline.search("anything", k=4)
    check(pipeline, found.nodes)
    assert given.asked == [12, 48]  # six chunks in a passage
    assert [len(hit.text.split(". ")) for hit in found.hits] == [6, 6, 6, 2]
    assert stage(found, "sentence_window").detail == "19 hits stand in 4 passages"


def test_it_ends_where_there_are_no_more_hits(wood: World) -> None:
    given = Given()
    assert len(wood.open(window("given"), given).search("anything", k=10).hits) == 3
    assert given.asked == [30]


def test_a_window_keeps_to_the_filter(world: World) -> None:
    pages = "\f".join(" ".join(map(sentence, TREES[at : at + 3])) for at in range(0, 18, 3))
    world.ingest([document(pages, format="pdf")])
    assert trees(world.search(window(), "gorse")) == ["fir gorse hazel"]
    assert trees(world.search(window(), "gorse", filters="page = 3")) == ["gorse hazel"]
    assert trees(world.search(window(before=5, after=5), "hazel", filters="page = 3")) == ["gorse hazel ivy"]
    assert [hit.metadata["page"] for hit in world.search(window(), "gorse ivy", filters="page = 3").hits] == [3]


def test_a_window_is_no_way_past_the_configured_filter(world: World) -> None:
    world.ingest([document(f"# Public\n\n{sentence('fir')}\n\n# Secret\n\n{sentence('gorse')}\n")])
    pipeline = world.open(window(before=5, after=5), filter="heading != Secret")
    assert trees(pipeline.search("fir")) == ["fir"]
    assert pipeline.search("gorse").hits == ()


@pytest.mark.parametrize("overlap", [0, 19])
@pytest.mark.parametrize("retriever", [window(), merging(threshold=0.3), window(merging())], ids=["window", "merging", "both"])
def test_overlapping_chunks_are_no_text_twice(world: World, overlap: int, retriever: Any) -> None:
    world.ingest([document()], size=40, overlap=overlap)
    for question in ("fir gorse", "fir gorse ivy juniper", " ".join(TREES)):
        found = world.search(retriever, question, k=10)
        words = " ".join(trees(found)).split()
        assert len(words) == len(set(words))
        assert set(question.split()) <= set(words)


def test_text_between_the_chunks_and_beyond_ascii_is_as_in_the_document(world: World) -> None:
    text = "\n\n\n   ".join(
        f"Die {tree} — 木の名前 🌳 — steht dort “allein” im Tal, wo nie jemand geht und naïve Füchse leben." for tree in TREES
    )
    world.ingest([document(text)])
    pipeline = world.open(window(), answer={"use": "extractive", "abstain_below": 0})
    answer = pipeline.ask("Wo steht die hazel allein?", k=1)
    check(pipeline, answer.nodes)
    assert answer.nodes[0].node.get_content().count("\n\n\n   Die") == 2
    assert answer.citations
    for citation in answer.citations:
        assert text[citation.start : citation.end] == citation.quote


# Citations


@pytest.mark.parametrize(
    "retriever", [window(), window(before=3, after=0), merging(threshold=0.2), window(merging(threshold=0.2)), mmr(window())],
    ids=["window", "before", "merging", "both", "mmr"],
)  # fmt: skip
def test_citations_stand_in_the_document_also_after_it_changed(world: World, retriever: Any) -> None:
    world.ingest([document()], overlap=4)
    asking = world.open(retriever, answer={"use": "extractive", "abstain_below": 0})
    texts = [WOOD, f"{sentence('teak')}\n\n" + WOOD.replace(sentence("elder"), "So it goes."), " ".join(map(sentence, TREES[3:]))]
    for text in texts:
        world.documents = [document(text)]
        world.open("dense").ingest(allow_removals=True)
        answer = asking.ask("Where do the fir, the gorse and the ivy stand alone?", k=3)
        check(asking, answer.nodes)
        assert len(answer.citations) == 3
        for citation in answer.citations:
            assert text[citation.start : citation.end] == citation.quote
            assert citation.chunk_id in {item.node.node_id for item in answer.nodes}
        assert not any(part.status == "degraded" for part in answer.trace.stages)


@pytest.mark.parametrize("retriever", [window(), merging(threshold=0.2), mmr(window())], ids=["window", "merging", "mmr"])
def test_what_is_deleted_is_not_handed_out(world: World, retriever: Any) -> None:
    world.ingest([document(), document(WOOD.replace("alone", "lonely"), uri="other.md")])
    asking = world.open(retriever)
    assert {hit.uri for hit in asking.search("fir gorse", k=8).hits} == {"wood.md", "other.md"}
    world.documents = [document(WOOD.replace(sentence("gorse"), ""))]
    world.open("dense").ingest(allow_removals=True)
    found = asking.search("fir gorse", k=8)
    check(asking, found.nodes)
    assert {hit.uri for hit in found.hits} == {"wood.md"}
    assert not any("gorse" in hit.text for hit in found.hits)


# auto_merging

SECTIONS = "\n\n".join(
    f"# {name}\n\n" + " ".join(map(sentence, TREES[start:end]))
    for name, start, end in [("North", 0, 1), ("East", 1, 3), ("South", 3, 9), ("West", 9, 18)]
)
"""Sections of one chunk, two, six (from dogwood on) and nine (from juniper on)."""


@pytest.fixture
def map_of_woods(world: World) -> World:
    world.ingest([document(SECTIONS)])
    return world


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        ("birch cedar", ["birch cedar"]),
        ("birch", ["birch"]),  # half is not more than half
        ("elder birch fir dogwood", ["dogwood elder fir gorse", "birch"]),
        ("hazel fir gorse", ["fir gorse hazel ivy"]),
        ("ivy hazel gorse", ["fir gorse hazel ivy"]),  # there is none behind ivy
        ("ivy hazel", ["ivy", "hazel"]),
        ("elder dogwood", ["elder", "dogwood"]),
        ("elder gorse dogwood", ["dogwood elder fir gorse"]),
        ("elder hazel dogwood", ["elder", "hazel", "dogwood"]),
        ("alder", ["alder"]),
        ("alder birch", ["alder", "birch"]),
        ("ivy juniper kapok", ["ivy", "juniper", "kapok"]),  # neighbours under different headings
        ("fir dogwood elder gorse hazel ivy", ["dogwood elder fir gorse", "hazel", "ivy"]),
        ("birch pine hazel oak ivy quince gorse", ["birch", "oak pine quince rowan", "fir gorse hazel ivy"]),
    ],
)
def test_a_parent_takes_the_place_of_most_of_its_chunks(map_of_woods: World, hits: str, expected: list[str]) -> None:
    assert trees(map_of_woods.found(merging("given"), *hits.split(), k=5)) == expected


def test_a_parent_has_the_id_and_score_of_its_best_chunk(map_of_woods: World) -> None:
    hits = ["rowan", "fir", "dogwood", "elder", "alder"]
    found = map_of_woods.found(merging("given"), *hits, k=2)
    assert trees(found) == ["rowan", "dogwood elder fir gorse"]
    hit = found.hits[1]
    assert (hit.chunk_id, hit.score) == (map_of_woods.chunk_id("fir"), 0.5)
    assert hit.text.startswith("# South\n\nThe dogwood")
    assert hit.ranks == {"auto_merging": 2}
    told = stage(found, "auto_merging")
    assert (told.entered, told.out, told.detail) == (5, 2, "3 hits were merged into 1 parents")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 0.8}, ["elder", "dogwood", "fir"]),
        ({"threshold": 0}, ["dogwood elder fir gorse"]),
        ({"threshold": 0, "most": 2}, ["dogwood elder", "fir gorse"]),
        ({"most": 2}, ["dogwood elder", "fir"]),
        ({"most": 5}, ["dogwood elder fir gorse hazel"]),
        ({"most": 64, "threshold": 0.4}, ["dogwood elder fir gorse hazel ivy"]),
        ({"most": 64}, ["elder", "dogwood", "fir"]),
    ],
)
def test_threshold_and_size_of_parents(map_of_woods: World, options: dict[str, Any], expected: list[str]) -> None:
    assert trees(map_of_woods.found(merging("given", **options), "elder", "dogwood", "fir", k=5)) == expected


def test_one_chunk_of_four_is_enough_for_a_low_threshold(map_of_woods: World) -> None:
    assert trees(map_of_woods.search(merging(threshold=0.2), "elder")) == ["elder fir gorse hazel"]
    assert trees(map_of_woods.search(merging(threshold=0.25), "elder")) == ["elder"]


def test_so_many_hits_are_looked_at(map_of_woods: World) -> None:
    assert trees(map_of_woods.found(merging("given"), "dogwood", "elder", "fir", k=1)) == ["dogwood elder fir gorse"]
    assert trees(map_of_woods.found(merging("given", fetch=2), "dogwood", "elder", "fir", k=1)) == ["dogwood"]
    for fetch, k, expected in [(None, 5, 15), (None, 50, 100), (None, 300, 300), (7, 5, 7), (7, 9, 9)]:
        given = Given()
        map_of_woods.open(merging("given", fetch=fetch), given).search("anything", k=k)
        assert given.asked == [expected]


def test_a_parent_keeps_to_the_filter(world: World) -> None:
    pages = "\f".join(" ".join(map(sentence, TREES[at : at + 3])) for at in range(0, 18, 3))
    world.ingest([document(pages, format="pdf")])
    assert trees(world.search(merging(), "elder fir gorse")) == ["elder fir gorse hazel"]
    assert trees(world.search(merging(), "elder fir gorse", filters="page = 2")) == ["dogwood elder fir"]


def test_equal_headings_apart_are_two_sections(world: World) -> None:
    world.ingest(
        [document(f"# A\n\n{WOOD[: len(sentence('alder'))]}\n\n# B\n\n{sentence('teak')}\n\n# A\n\n{sentence('birch')}")]
    )
    assert trees(world.found(merging("given"), "alder", "birch")) == ["alder", "birch"]


def test_the_chunker_s_own_parents_count(tmp_path: Path) -> None:
    def chunk(number: int, parent: str | None) -> TextNode:
        node = TextNode(id_=f"c{number}", text=f"c{number}", metadata={"heading": "same"}, start_char_idx=3 * number,
                        end_char_idx=3 * number + 2)  # fmt: skip
        node.relationships[NodeRelationship.SOURCE] = TextNode(id_="d").as_related_node_info()
        if parent:
            node.relationships[NodeRelationship.PARENT] = TextNode(id_=parent).as_related_node_info()
        return node

    chunks = [chunk(0, None), *(chunk(n, "c0") for n in range(1, 6)), chunk(6, None), *(chunk(n, "c6") for n in range(7, 9))]
    found = [("c4", 0.9), ("c8", 0.8), ("c2", 0.7), ("c5", 0.6)]

    class Finds:
        name = "finds"

        def search(self, query: QueryBundle, k: int, filters: Any = None) -> Any:
            return [one for one, _ in found][:k], [score for _, score in found][:k]

        def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float]:
            return [dict(found)[one] for one in ids]

    context: Any = build_context(tmp_path, chunks=chunks, run=FakeRun(top_k=3))
    retriever = AutoMergingRetriever(context, Finds())
    nodes = retriever.retrieve("anything")
    assert [(item.node.node_id, item.score, item.node.get_content()) for item in nodes] == [
        ("c4", 0.9, "c1 c2 c3 c4 c5"), ("c8", 0.8, "c8"),
    ]  # fmt: skip


# mmr


@pytest.fixture
def doubles(world: World) -> World:
    """Two documents that say the same of birch and fir, and others that do not."""
    same = [document(f"Birch and fir: {sentence('birch')}", uri=f"same{n}.md") for n in range(3)]
    world.ingest([*same, *(document(f"{sentence(tree)} It is no fir.", uri=f"{tree}.md") for tree in TREES[6:12])], size=40)
    return world


def test_doubles_wait(doubles: World) -> None:
    question = "birch fir"
    plain = doubles.search("dense", question, k=3)
    assert {hit.uri for hit in plain.hits} == {"same0.md", "same1.md", "same2.md"}
    found = doubles.search(mmr("dense", diversity=0.7), question, k=2)
    assert [hit.uri.startswith("same") for hit in found.hits] == [True, False]
    assert found.hits[0].uri == plain.hits[0].uri
    assert found.hits[0].scores["dense"] == plain.hits[0].score
    assert stage(found, "mmr").entered == 9
    assert [hit.chunk_id for hit in doubles.search(mmr("dense", diversity=0), question, k=3).hits] == [
        hit.chunk_id for hit in plain.hits
    ]


def test_so_many_are_chosen_among(doubles: World) -> None:
    found = doubles.search(mmr("dense", diversity=0.7, fetch=3), "birch fir", k=3)
    assert {hit.uri for hit in found.hits} == {"same0.md", "same1.md", "same2.md"}
    assert len(doubles.search(mmr("dense", fetch=3), "birch fir", k=5).hits) == 5


class Silent(BasePydanticVectorStore):
    """Has LlamaIndex's own methods alone, so it gives no vectors back."""

    stores_text: bool = False
    _store: MemoryVectorStore = PrivateAttr()

    def __init__(self, folder: Path) -> None:
        super().__init__(stores_text=False)
        self._store = MemoryVectorStore(folder)

    @property
    def client(self) -> Any:
        return None

    def add(self, nodes: Any, **more: Any) -> list[str]:
        ids = self._store.add(nodes)
        self._store.flush()
        return ids

    def delete(self, ref_doc_id: str, **more: Any) -> None:
        raise NotImplementedError

    def delete_nodes(self, node_ids: Any = None, filters: Any = None, **more: Any) -> None:
        self._store.delete_nodes(node_ids)

    def query(self, query: Any, **more: Any) -> Any:
        return self._store.query(query)


class SilentPlugin:
    @hookimpl
    def ragkit_vector_stores(self) -> list[Component]:
        def build(options: Listed, context: Any) -> Silent:
            return Silent(context.folder)

        return [Component("silent", Listed, build, capabilities={"filters": True, "delete": True, "upsert": True})]


def test_vectors_come_from_the_cache_where_the_store_gives_none(doubles: World) -> None:
    found = doubles.search(mmr("keyword", diversity=0.7), "birch fir", k=4)
    pipeline = doubles.open(mmr("keyword", diversity=0.7), SilentPlugin(), vector_store="silent")
    pipeline.ingest()
    embedding = pipeline._index.wiring.embedding
    before = embedding.embedded
    again = pipeline.search("birch fir", k=4)
    assert [(hit.chunk_id, hit.score) for hit in again.hits] == [(hit.chunk_id, pytest.approx(hit.score)) for hit in found.hits]
    assert embedding.embedded == before


def test_without_vectors_the_order_stays(doubles: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, ids: Sequence[str]) -> Any:
        raise ConnectionError("the store is away")

    monkeypatch.setattr(MemoryVectorStore, "vectors", fails)
    found = doubles.search(mmr(diversity=0.7), "birch fir", k=4)
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in doubles.search("keyword", "birch fir", k=4).hits]
    assert stage(found, "mmr").status == "degraded"
    assert "the store is away" in stage(found, "mmr").detail


# Filters, nesting, other stores

NESTED = {
    "window": window(None),
    "merging": merging(None),
    "mmr": mmr(None),
    "mmr over window": mmr(window(None)),
    "window over mmr": window(mmr(None)),
    "window over merging": window(merging(None)),
    "merging over window": merging(window(None)),
    "window over window": window(window(None), before=2),
    "hybrid": {"use": "hybrid", "legs": ["dense", window()]},
    "hybrid of passages": {"use": "hybrid", "legs": [{**window("dense"), "name": "left"}, {**merging(), "name": "right"}]},
    "hybrid of two windows": {"use": "hybrid", "legs": [window("dense"), {**window(), "name": "right"}]},
    "window over hybrid": window({"use": "hybrid", "legs": ["dense", merging()]}),
}


@pytest.mark.parametrize("retriever", NESTED.values(), ids=NESTED)
def test_nested_in_each_other(world: World, retriever: Any) -> None:
    world.ingest(
        [document(SECTIONS, year=2020), document(SECTIONS.replace("alone", "lonely"), uri="new.md", year=2024)], overlap=4
    )
    pipeline = world.open(retriever)
    for question in ("dogwood elder fir", "where does the gorse stand", " ".join(TREES)):
        found = pipeline.search(question, k=5)
        check(pipeline, found.nodes)
        assert 1 <= len(found.hits) <= 5
        assert not found.trace.degraded
        assert [hit.to_dict() for hit in pipeline.search(question, k=5).hits] == [hit.to_dict() for hit in found.hits]
        newer = pipeline.search(question, k=5, filters="year > 2022")
        check(pipeline, newer.nodes)
        assert {hit.uri for hit in newer.hits} == {"new.md"}


async def test_the_async_twin_gives_the_same(wood: World) -> None:
    pipeline = wood.open(window())
    answer = await pipeline.aask("hazel")
    assert trees(answer) == ["gorse hazel ivy"]


def test_a_window_inside_of_another_is_as_wide_as_it_would_be_alone(wood: World) -> None:
    assert trees(wood.search({"use": "hybrid", "legs": ["dense", window()]}, "hazel", k=1)) == ["gorse hazel ivy"]
    assert trees(wood.search({"use": "hybrid", "legs": [window("dense"), {**window(), "name": "b"}]}, "hazel", k=1)) == [
        "gorse hazel ivy"
    ]
    assert trees(wood.search(window(window(before=2), before=1), "hazel", k=1)) == ["fir gorse hazel ivy"]
    assert trees(wood.search(mmr(window()), "hazel", k=1)) == ["gorse hazel ivy"]


def test_a_window_around_a_parent(map_of_woods: World) -> None:
    assert trees(map_of_woods.found(window(merging("given")), "fir", "elder", "dogwood", "oak", k=5)) == [
        "cedar dogwood elder fir gorse hazel", "nutmeg oak pine",
    ]  # fmt: skip
    assert trees(map_of_woods.found(merging(window("given")), "fir", "elder", "dogwood", k=5)) == [
        "cedar dogwood elder fir gorse"
    ]


def test_a_leg_scores_what_the_others_found(wood: World) -> None:
    legs = ["dense", window()]
    plain = wood.search({"use": "hybrid", "adaptive": False, "legs": ["dense", "keyword"]}, "fir gorse", k=3)
    found = wood.search({"use": "hybrid", "adaptive": False, "legs": legs}, "fir gorse", k=3)
    fused = {hit.chunk_id: hit.scores["fused"] for hit in plain.hits}
    assert found.hits[0].chunk_id == plain.hits[0].chunk_id
    for hit in found.hits:
        assert hit.scores["fused"] == pytest.approx(fused[hit.chunk_id])
        assert hit.scores["sentence_window"] == hit.scores["keyword"]


def test_alpha_reaches_the_hybrid_inside(wood: World) -> None:
    found = wood.open(window(None)).search("hazel", k=1, alpha=0.0)
    assert [part.status for part in found.trace.stages if part.name == "dense"] == ["skipped"]


def test_the_default_stores(tmp_path: Path) -> None:
    project = Project(
        tmp_path / "project", size=20, more="retriever: {use: sentence_window, retriever: {use: auto_merging}}\ntop_k: 3"
    )
    project.write("wood.md", SECTIONS)
    with project.open() as pipeline:
        pipeline.ingest()
        found = pipeline.search("Where do the elder, the fir and the dogwood stand?")
        check(pipeline, found.nodes)
        assert {"dogwood", "elder", "fir", "gorse"} <= set(trees(found)[0].split())
        mixed = project.open(overrides=("retriever={use: mmr, retriever: {use: sentence_window}}",))
        with mixed:
            check(mixed, mixed.search("Where do the elder and the fir stand?").nodes)


def test_a_reranker_gets_passages(wood: World) -> None:
    pipeline = wood.open(window(), rerankers=["mmr"])
    assert trees(pipeline.search("hazel pine", k=1)) in (["gorse hazel ivy"], ["oak pine quince"])


# Options


@pytest.mark.parametrize(
    ("retriever", "told"),
    [
        (window(before=-1), "must be at least 0"),
        (window(after=51), "must be at most 50"),
        (merging(threshold=1), "less than 1"),
        (merging(most=1), "must be at least 2"),
        (mmr(diversity=1.1), "must be at most 1"),
        (mmr(fetch=0), "must be at least 1"),
        (window("nosuch"), "nosuch"),
    ],
)
def test_wrong_options_are_refused(wood: World, retriever: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        wood.open(retriever)


def test_every_option_is_described() -> None:
    for options in (MMROptions, SentenceWindowOptions, AutoMergingOptions):
        assert all(field.description for field in options.model_fields.values())


# Properties of the pure parts


def line(count: int) -> list[TextNode]:
    """`count` chunks of ten characters, each beginning with the last two of the one before."""
    nodes = []
    for n in range(count):
        node = TextNode(id_=f"c{n}", text="x" * 10, start_char_idx=8 * n, end_char_idx=8 * n + 10)
        node.relationships[NodeRelationship.SOURCE] = TextNode(id_="d").as_related_node_info()
        nodes.append(node)
    return nodes


class Line:
    """The part of a context that windows use."""

    def __init__(self, count: int) -> None:
        self.nodes = line(count)

    def neighbours(self, chunk_id: str, before: int = 1, after: int = 1) -> list[TextNode]:
        place = int(chunk_id[1:])
        return self.nodes[max(0, place - before) : place + after + 1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 24), min_size=1, max_size=25, unique=True), st.integers(0, 4), st.integers(0, 4))
def test_windows_hold_every_hit_once(hits: list[int], before: int, after: int) -> None:
    context: Any = Line(25)
    found = [Passage.of(NodeWithScore(node=context.nodes[place], score=-float(rank))) for rank, place in enumerate(hits)]
    around = Around(context, before, after, lambda metadata: True)
    passages = Windows(found, around, before, after).passages()
    ids = [chunk_id for item in passages for chunk_id in item.ids]
    assert len(ids) == len(set(ids))
    assert sorted(chunk_id for item in passages for chunk_id in item.core) == sorted(f"c{place}" for place in hits)
    wanted = {f"c{n}" for place in hits for n in range(max(0, place - before), min(24, place + after) + 1)}
    assert set(ids) == wanted
    for item in passages:
        places = [int(chunk_id[1:]) for chunk_id in item.ids]
        assert places == list(range(places[0], places[-1] + 1))
        assert len(places) <= 2 * (before + 1 + after) + before + after
        assert item.hit.score == max(-hits.index(int(chunk_id[1:])) for chunk_id in item.core)
    scores = [item.hit.score or 0.0 for item in passages]
    assert scores == sorted(scores, reverse=True)
    again = Windows([Passage(item.hit, item.core, item.ids) for item in passages], around, before, after).passages()
    assert [item.ids for item in again] == [item.ids for item in passages]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), min_size=1, max_size=8))
def test_no_character_is_shown_twice(spans: list[tuple[int, int]]) -> None:
    text = "".join(chr(ord("a") + place % 26) if place % 5 else " " for place in range(60))
    nodes = []
    for number, (start, length) in enumerate(spans):
        node = TextNode(id_=str(number), text=text[start : start + length], start_char_idx=start, end_char_idx=start + length)
        nodes.append(NodeWithScore(node=node, score=1.0))
    kept = without_doubles(nodes)
    assert kept[0] is nodes[0]
    for item in kept:
        node = item.node
        assert isinstance(node, TextNode)
        assert text[node.start_char_idx : node.end_char_idx] == node.text
    inside = [any(s < start and start + n < s + m for s, m in spans) for start, n in spans]
    if not any(inside):
        places = [place for item in kept for place in range(item.node.start_char_idx, item.node.end_char_idx)]  # type: ignore[attr-defined]
        assert len(places) == len(set(places))
        shown = {place for start, n in spans for place in range(start, start + n) if text[place] != " "}
        assert shown <= set(places)
    assert [item.node.text for item in nodes] == [text[start : start + n] for start, n in spans]  # type: ignore[attr-defined]


@given(st.integers(0, 9), st.integers(1, 6), st.integers(0, 9), st.integers(1, 6))
def test_runs_that_overlap_are_one(one: int, n: int, other: int, m: int) -> None:
    first, second = (tuple(f"c{place}" for place in range(at, at + length)) for at, length in ((one, n), (other, m)))
    if set(first) & set(second):
        expected = tuple(f"c{place}" for place in range(min(one, other), max(one + n, other + m)))
        assert together(first, second) == together(second, first) == expected
