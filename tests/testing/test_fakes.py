"""The public fakes: embedding, LLM, sources, tokenizer, context, and the plugin that offers them."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import ragkit.testing
from ragkit.components import ListsEntries, Spec, Tokenizer, WeighsTerms
from ragkit.components.kinds import Kind
from ragkit.errors import ComponentError, DocumentError, DocumentGone, SourceError
from ragkit.testing import (
    FailingSource,
    FakeEmbedding,
    FakeRun,
    MemorySource,
    PlainTerms,
    RepeatingLLM,
    WordTokenizer,
    build_context,
    plugin,
)

DOCUMENTS = [{"uri": f"d{i}", "text": f"text {i}", "metadata": {"n": i}} for i in range(4)]


def test_everything_public_is_there() -> None:
    for name in ragkit.testing.__all__:
        assert getattr(ragkit.testing, name) is not None
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = ragkit.testing.Nonsense


def test_the_plugin_is_offered_without_importing_llama_index() -> None:
    code = "import sys, ragkit.testing; ragkit.testing.plugin.ragkit_sources(); assert 'llama_index' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_similar_texts_have_similar_vectors() -> None:
    embedding = FakeEmbedding(dim=128)
    one, near, far = embedding.get_text_embedding_batch(["a red fish", "the red fish", "quantum physics"])
    assert len(one) == 128
    assert embedding.similarity(one, one) == pytest.approx(1.0)
    assert embedding.similarity(one, near) > 0.5 > embedding.similarity(one, far)
    assert embedding.get_query_embedding("a red fish") == one == FakeEmbedding(dim=128).get_text_embedding("a red fish")
    assert FakeEmbedding(dim=128, seed=1).get_text_embedding("a red fish") != one
    assert sum(value * value for value in embedding.get_text_embedding("")) == pytest.approx(1.0)


async def test_the_embedding_counts_what_it_embeds() -> None:
    embedding = FakeEmbedding(embed_batch_size=2)
    embedding.get_text_embedding_batch(["a", "b", "c"])
    assert (embedding.calls, embedding.embedded) == (2, 3)
    await embedding.aget_query_embedding("a")
    await embedding.aget_text_embedding("b")
    assert (embedding.calls, embedding.embedded) == (4, 5)


async def test_the_llm_repeats_and_streams() -> None:
    echo, fixed = RepeatingLLM(), RepeatingLLM(text="forty two is it")
    assert echo.complete("say this").text == "say this"
    assert (await fixed.acomplete("what?")).text == "forty two is it"
    deltas = [part.delta for part in fixed.stream_complete("again")]
    assert deltas == ["forty", " two", " is", " it"]
    assert "".join([part.delta or "" async for part in await fixed.astream_complete("again")]) == "forty two is it"
    assert fixed.prompts == ("what?", "again", "again")


def test_a_source_lists_its_documents() -> None:
    source = MemorySource(DOCUMENTS)
    assert isinstance(source, ListsEntries)
    documents = list(source)
    assert [document.metadata for document in documents] == [{"n": i, "uri": f"d{i}"} for i in range(4)]
    assert [document.text for document in documents] == [f"text {i}" for i in range(4)]
    assert [entry.uri for entry in source.entries()] == ["d0", "d1", "d2", "d3"]


def test_a_source_fails_on_demand() -> None:
    source = FailingSource(DOCUMENTS, fail_after=2, fail_reading={"d0"}, gone={"d1"})
    listed = []
    with pytest.raises(SourceError, match="after 2"):
        listed.extend(source.entries())
    with pytest.raises(SourceError):
        list(FailingSource(DOCUMENTS, fail_after=9).entries())
    entries = list(islice(source.entries(), 2))
    with pytest.raises(DocumentError, match="d0"):
        entries[0].read()
    with pytest.raises(DocumentGone, match="d1"):
        entries[1].read()
    assert list(FailingSource([])) == []


def test_a_token_is_a_word_or_a_mark() -> None:
    tokenizer = WordTokenizer(max_tokens=10)
    assert isinstance(tokenizer, Tokenizer)
    text = "Well, two words."
    assert [text[start:end] for start, end in tokenizer.offsets(text)] == ["Well", ",", "two", "words", "."]
    assert tokenizer.count([text, ""]) == [5, 0]
    assert tokenizer.fingerprint != WordTokenizer(max_tokens=11).fingerprint


def test_plain_terms_weigh_the_rare_more() -> None:
    terms = PlainTerms({"common": 9, "rare": 1}, 10)
    assert isinstance(terms, WeighsTerms)
    common, rare, unseen = terms.idf(["common", "rare", "unseen"])
    assert common < rare < unseen


def test_the_context_answers_from_what_it_is_given(tmp_path: Path) -> None:
    from llama_index.core.schema import NodeRelationship, QueryBundle, RelatedNodeInfo, TextNode

    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d")}
    chunks = [TextNode(id_=f"c{i}", text=f"text {i}", relationships=source) for i in range(4)]
    chunks[2].relationships[NodeRelationship.PARENT] = RelatedNodeInfo(node_id="c0")
    context = build_context(tmp_path / "made", chunks=chunks, run=FakeRun(top_k=3))
    assert context.folder.is_dir()
    assert [node.node_id for node in context.neighbours("c1", before=5)] == ["c0", "c1", "c2"]
    parent = context.parent("c2")
    assert parent is not None
    assert (parent.node_id, [child.node_id for child in parent.child_nodes or ()]) == ("c0", ["c2"])
    assert context.parent("c1") is None
    assert [(hit.node.node_id, hit.score) for hit in context.hydrate(["c3", "gone", "c0"], [3.0, 2.0, 1.0])] == [
        ("c3", 3.0),
        ("c0", 1.0),
    ]
    assert list(context.nodes()) == chunks
    query = QueryBundle("q")
    with context.run(query).stage("dense", 4) as stage:
        stage.hits(["c1"], [0.5])
        stage.degraded("less")
    assert [(s.name, s.entered, s.found, s.status) for s in context.run_.stages] == [("dense", 4, (["c1"], [0.5]), "degraded")]
    with pytest.raises(ComponentError, match="build_context"):
        context.neighbours("gone")
    built = context.build(Spec(Kind.LLM, plugin.ragkit_llms()[0], plugin.RepeatOptions(text="x")))
    assert built.complete("y").text == "x"


def test_any_retriever_is_a_leg(tmp_path: Path) -> None:
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    class Fixed(BaseRetriever):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return [NodeWithScore(node=TextNode(id_=f"n{i}"), score=1.0 - i / 10) for i in range(5)]

    leg = build_context(tmp_path).leg(Fixed(), "fixed")
    assert leg.name == "fixed"
    assert leg.search(QueryBundle("q"), 2) == (["n0", "n1"], [1.0, 0.9])
    assert leg.score(QueryBundle("q"), ["n0"]) is None


def test_every_component_of_the_plugin_builds(tmp_path: Path) -> None:
    hooks = [getattr(plugin, name) for name in dir(plugin) if name.startswith("ragkit_")]
    components: list[Any] = [component for hook in hooks for component in hook()]
    assert sorted(component.name for component in components) == ["failing", "fake", "fake", "memory", "memory", "repeat"]
    for component in components:
        assert component.build(component.options(), build_context(tmp_path / component.name)) is not None
        assert component.summary
    (fake,) = plugin.ragkit_embeddings()
    context = build_context(tmp_path)
    assert fake.identity is not None
    assert fake.identity(fake.options(dim=8), context) != fake.identity(fake.options(dim=9), context)
    assert fake.tokenizer is not None
    assert fake.tokenizer(fake.options(max_tokens=99), context).max_tokens == 99
