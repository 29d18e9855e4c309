"""`hierarchical`, `two_stage`, `by_category` and `adaptive`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cutting import OFFERED, build, cut, spec
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, TextNode, TransformComponent
from pydantic import ValidationError

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.nested.adaptive import FaqChunker
from ragkit.builtin.nested.detecting import kind_of
from ragkit.components import Component, Kind, Options, Spec
from ragkit.errors import ComponentError
from ragkit.words import WordTokenizer

PROSE = "Some words stand here and say very little. "
count = WordTokenizer().count


# hierarchical


def parents(chunker: Any, text: str, **metadata: Any) -> list[tuple[str, str]]:
    """Each chunk with its parent's text."""
    nodes = chunker.get_nodes_from_documents([Document(text=text, id_="d", metadata=metadata)])
    return [
        (node.get_content(), text[node.parent_node.metadata["start"] : node.parent_node.metadata["end"]])
        if node.parent_node
        else (node.get_content(), "")
        for node in nodes
    ]


def test_leaves_know_the_parent_that_they_were_cut_from(tmp_path: Path) -> None:
    text = "".join(f"# Part {n}\n\n{f'Sentence of {n} and no other. ' * 9}\n\n" for n in range(4))
    found = parents(build(tmp_path, "hierarchical", parent_size=80, size=24), text, format="markdown")
    assert len(found) > 8
    assert {parent.splitlines()[0] for _, parent in found} == {f"# Part {n}" for n in range(4)}
    assert all(leaf in parent for leaf, parent in found)
    assert max(count([leaf for leaf, _ in found])) <= 24
    assert 24 < max(count([parent for _, parent in found])) <= 80


def test_parents_may_be_larger_than_what_the_model_reads(tmp_path: Path) -> None:
    found = parents(build(tmp_path, "hierarchical", tokenizer=WordTokenizer(max_tokens=100), parent_size=1_000), PROSE * 80)
    assert max(count([leaf for leaf, _ in found])) <= 64
    assert {parent for _, parent in found} == {(PROSE * 80).strip()}


def test_parents_that_overlap_share_no_leaf(tmp_path: Path) -> None:
    chunker = build(
        tmp_path, "hierarchical", parent=spec("token", size=60, overlap=20), leaf=spec("token", size=16, overlap=0), size=16
    )
    found = parents(chunker, " ".join(f"w{n}" for n in range(200)))
    assert [word for leaf, _ in found for word in leaf.split()] == [f"w{n}" for n in range(200)]


def test_leaves_below_parents() -> None:
    with pytest.raises(ValidationError, match="must be smaller than parent_size"):
        OFFERED["hierarchical"].options(parent_size=64, size=64)


# two_stage


def test_structure_first_then_a_cap(tmp_path: Path) -> None:
    text = f"# A\n\n{PROSE * 12}\n\n# B\n\n{PROSE}\n\n# C\n\n{PROSE * 2}"
    structure = spec("recursive", unit="characters", separators=["\n\n# "], size=10_000, overlap=0)
    chunks = cut(build(tmp_path, "two_stage", structure=structure, size=40, overlap=0), text)
    assert max(count(chunks)) <= 40
    assert len(chunks) >= 3
    loose = cut(build(tmp_path, "two_stage", size=200, overlap=0), text, format="markdown")
    assert loose == [text.strip()]


def test_a_llamaindex_splitter_is_capped_too(tmp_path: Path) -> None:
    component = Component("theirs", Options, lambda options, context: SentenceSplitter(chunk_size=512, chunk_overlap=0))
    chunker = build(tmp_path, "two_stage", structure=Spec(Kind.CHUNKER, component, Options(), "theirs"), size=50, overlap=10)
    nodes = chunker.get_nodes_from_documents([Document(text=PROSE * 60, id_="d")])
    assert max(count([node.get_content() for node in nodes])) <= 50
    assert all((PROSE * 60)[node.start_char_idx : node.end_char_idx] == node.get_content() for node in nodes)  # type: ignore[attr-defined]


class Inventing(SentenceSplitter):
    def _parse_nodes(self, nodes: Any, show_progress: bool = False, **kwargs: Any) -> Any:
        return [TextNode(text="invented")]


def test_chunks_that_are_no_pieces_of_the_document_cannot_be_nested(tmp_path: Path) -> None:
    component = Component("inventing", Options, lambda options, context: Inventing())
    assert issubclass(Inventing, TransformComponent)
    chunker = build(tmp_path, "two_stage", structure=Spec(Kind.CHUNKER, component, Options(), "inventing"))
    with pytest.raises(ComponentError, match="Inventing wrote a chunk that is no piece of its document"):
        cut(chunker, PROSE)


# by_category

WIDE = WordTokenizer(max_tokens=4_000)


def test_the_presets_of_each_category(tmp_path: Path) -> None:
    chunker = build(tmp_path, "by_category", tokenizer=WIDE)
    text = " ".join(f"Sentence number {n} says a little." for n in range(800))
    posts = cut(chunker, text, category="post")
    assert 200 < max(count(posts)) <= 250
    articles = cut(chunker, text, category="article")
    assert all(1_000 <= len(chunk) <= 2_000 for chunk in articles)
    assert all(chunk.endswith(".") for chunk in articles)
    program = "\n\n".join(f"def f{n}(x):\n    return x + {n}\n" for n in range(300))
    repository = cut(chunker, program, category="repository", uri="a.py")
    assert 1_300 < max(count(repository)) <= 1_500
    assert all(chunk.startswith("def") for chunk in repository)
    others = cut(chunker, text, category="memo")
    assert others == cut(chunker, text)
    assert max(count(others)) > 2_500


def test_presets_never_exceed_what_the_model_reads(tmp_path: Path) -> None:
    chunker = build(tmp_path, "by_category")
    for category in ("post", "article", "repository", "memo", ""):
        chunks = cut(chunker, PROSE * 300, category=category, uri="a.py" if category == "repository" else "a.txt")
        assert 100 < max(count(chunks)) <= 220


def test_a_preset_that_is_lowered_still_keeps_definitions_whole(tmp_path: Path) -> None:
    program = "\n\n".join(f"def f{n}(x):\n" + f"    x = x + {n}\n\n" * 8 + "    return x\n" for n in range(60))
    chunks = cut(build(tmp_path, "by_category"), program, category="repository", uri="a.py")
    assert len(chunks) > 5
    assert all(chunk.startswith("def") and chunk.endswith("return x") for chunk in chunks)


def test_categories_of_one_s_own_beside_the_presets(tmp_path: Path) -> None:
    chunker = build(
        tmp_path, "by_category", categories={"memo": spec("sentence_window")}, default=spec("token", size=30, overlap=0)
    )
    assert cut(chunker, PROSE * 3, category="memo") == [PROSE.strip()] * 3
    assert max(count(cut(chunker, PROSE * 30))) == 30
    assert 30 < max(count(cut(chunker, PROSE * 60, category="post"))) <= 220


def test_what_is_nested_cannot_exceed_what_the_model_reads(tmp_path: Path) -> None:
    chunker = build(tmp_path, "by_category", categories={"post": spec("token", size=1_000)})
    assert 150 < max(count(cut(chunker, PROSE * 300, category="post"))) <= 220


def test_a_category_that_is_no_text_is_none(tmp_path: Path) -> None:
    assert cut(build(tmp_path, "by_category"), PROSE, category=["post"]) == [PROSE.strip()]


# adaptive

CODE = "\n".join(
    ["#include <stdio.h>", "", "int main(void) {"] + [f'    printf("line {n}");' for n in range(40)] + ["    return 0;", "}"]
)
FAQ = "\n\n".join(f"How do I change setting {n}?\nOpen the menu. Choose setting {n}, then confirm it." for n in range(12))
LEGAL = "\n\n".join(
    f"{n}. The Licensee shall pay the fee that this Agreement names.\n(a) It is due pursuant to clause {n}.\n"
    f"(b) Either party may terminate it. {'The parties shall keep what they know to themselves. ' * 6}"
    for n in range(1, 9)
)
GENERAL = "\n\n".join(f"Paragraph {n} tells of rivers and of the towns at them. {PROSE * 4}" for n in range(12))
SAMPLES = {"code": CODE, "faq": FAQ, "legal": LEGAL, "general": GENERAL}


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_is_told(kind: str) -> None:
    assert kind_of(SAMPLES[kind]) == kind


@pytest.mark.parametrize(
    ("text", "metadata", "kind"),
    [
        ("", {}, "general"), (" \n ", {}, "general"), ("plain", {"programming_language": "cobol"}, "code"),
        ("plain", {"uri": "src/a.rs"}, "code"), (CODE, {"markdown": True}, "general"),
        ("Who? What? Why? " * 30, {}, "general"), (f"Why?\n{GENERAL}", {}, "general"),
        ("\n".join(f"{n}. The list has an item." for n in range(20)), {}, "general"),
        ("Q: What is it?\nA: A thing.\n" * 3, {}, "faq"), ("怎么申请假期？\n向组长申请。\n" * 4, {}, "faq"),
        ("§ 1 Die Parteien\nDie Licensee shall pay.\n" * 5, {}, "legal"),
    ],
)  # fmt: skip
def test_where_kinds_end(text: str, metadata: dict[str, Any], kind: str) -> None:
    assert kind_of(text, **metadata) == kind


def test_real_pages_are_general(data: Path) -> None:
    pages = sorted((data / "fastapi_docs").rglob("*.md"))
    kinds = [kind_of(page.read_text(encoding="utf-8"), uri=page.name, markdown=True) for page in pages]
    assert kinds.count("general") >= 0.95 * len(pages)


@pytest.mark.parametrize(("kind", "size"), [("code", 800), ("faq", 300), ("legal", 1_200), ("general", 500)])
def test_the_presets_of_each_kind(tmp_path: Path, kind: str, size: int) -> None:
    chunks = cut(build(tmp_path, "adaptive", tokenizer=WIDE), SAMPLES[kind])
    assert 0.5 * size < max(map(len, chunks)) <= size


def test_questions_stay_with_their_answers(tmp_path: Path) -> None:
    for chunk in cut(build(tmp_path, "adaptive", tokenizer=WIDE), FAQ):
        assert chunk.startswith("How do I")
        assert chunk.endswith("confirm it.")


def test_an_answer_is_bound_to_its_question() -> None:
    chunker = FaqChunker(tokenizer=WIDE, size=100, overlap=0)
    kinds = {FAQ[place:][:8]: kind for place, kind in chunker.places(FAQ[:140], markdown=False)}
    assert kinds["How do I"] is Break.SECTION
    assert kinds["Open the"] is Break.BOUND
    assert kinds["Choose s"] is Break.SENTENCE


def test_legal_chunks_begin_with_clauses(tmp_path: Path) -> None:
    chunks = cut(build(tmp_path, "adaptive", tokenizer=WIDE), LEGAL)
    assert len(chunks) == 4
    assert all(chunk[0].isdigit() for chunk in chunks)


def test_another_chunker_for_a_kind(tmp_path: Path) -> None:
    chunker = build(tmp_path, "adaptive", faq=spec("sentence_window"))
    assert len(cut(chunker, FAQ)) == 36
    assert len(cut(chunker, GENERAL)) < 36


def test_no_kind_exceeds_what_the_model_reads(tmp_path: Path) -> None:
    chunker = build(tmp_path, "adaptive", tokenizer=WordTokenizer(max_tokens=80))
    for sample in SAMPLES.values():
        assert max(count(cut(chunker, sample))) <= 80 - 2 - 34
