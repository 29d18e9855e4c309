from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.text import PAGE_BREAK, fences, headings, pages, sentences


@pytest.mark.parametrize(
    ("markdown", "found"),
    [
        ("# First Steps { #first-steps }\n\ntext", [(1, "First Steps")]),
        ("## Use {name} here", [(2, "Use {name} here")]),
        ("## `Body` {name}", [(2, "`Body` {name}")]),
        ("# A {: .class }", [(1, "A")]),
        ("# Closed ##\n", [(1, "Closed")]),
        ("# C#\n", [(1, "C#")]),
        ("#hashtag\n####### seven\n    # indented code\n", []),
        ("Title\n=====\n\nPart\n---\n\nx\n", [(1, "Title"), (2, "Part")]),
        ("- item\n---\n\na | b\n--- | ---\n", []),
        ("#\n\n#  \n", [(1, ""), (1, "")]),
        ("```\n# comment\n```\n# Real\r\n", [(1, "Real")]),
        ("~~~\n```\n# no\n~~~\n# yes", [(1, "yes")]),
        ("```a``` inline\n# yes", [(1, "yes")]),
        ("````\n```\n# no\n````\n# yes", [(1, "yes")]),
        ("```\n# never closed", []),
    ],
)
def test_headings(markdown: str, found: list[tuple[int, str]]) -> None:
    outline = headings(markdown)
    assert [(heading.level, heading.title) for heading in outline] == found
    assert all(heading.title in markdown[heading.start :].splitlines()[0] for heading in outline)


def test_fences_span_the_block_with_its_fences() -> None:
    text = "a\n\n    ```python\n    x\n    ```\nb\n```\ny\n```"
    assert [text[start:end] for start, end in fences(text)] == ["    ```python\n    x\n    ```", "```\ny\n```"]


def test_pages() -> None:
    assert pages("one") == []
    assert pages(f"one\n{PAGE_BREAK}\ntwo") == [0, 5]


def test_sentences_are_not_cut_inside_words() -> None:
    text = "See it: ![Swagger](x.png) here. It costs 3.5 e.g. here! Next?  Last"
    found = [text[start:end] for start, end in sentences(text)]
    assert found == ["See it: ![Swagger](x.png) here.", "It costs 3.5 e.g. here!", "Next?", "Last"]


def test_sentences_of_a_script_without_spaces() -> None:
    text = "今天天气很好。我们去公园吧！好吗？"
    assert [text[start:end] for start, end in sentences(text, "zh")] == ["今天天气很好。", "我们去公园吧！", "好吗？"]


@given(st.text(max_size=300))
def test_sentences_lose_nothing_but_space(text: str) -> None:
    spans = sentences(text)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    kept = {position for span in spans for position in range(*span)}
    assert all(character.isspace() for position, character in enumerate(text) if position not in kept)


@pytest.mark.parametrize(
    "text", ["```\n" * 50_000, "{" * 200_000, "# " + "{" * 200_000 + "}", "#" * 200_000, " \n" * 100_000 + "x"]
)
def test_time_grows_with_the_text_alone(text: str) -> None:
    started = time.monotonic()
    headings(text)
    fences(text)
    sentences(text)
    assert time.monotonic() - started < 10
