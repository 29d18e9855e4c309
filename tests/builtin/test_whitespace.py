from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import Document

from ragkit.builtin.cleaners import ragkit_cleaners
from ragkit.builtin.cleaners.whitespace import WhitespaceCleaner, clean


def test_cleans_space_and_unicode() -> None:
    assert clean("a\u00a0b  \r\nc\u200b\ufeff\x07d\t \n\n\n\n\n\ne\x0cf") == "a b\ncd\n\n\ne\x0cf"
    assert clean("Cafe\u0301") == "Café"
    assert clean("x\ud800y\x00") == "xy"


def test_indentation_and_joined_emoji_stay() -> None:
    code = "def f():\n\treturn {\n        1: '👩\u200d👧',\n    }"
    assert clean(code) == code


@given(st.text(st.characters(), max_size=200))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    once.encode()


def test_documents_handed_in_stay_as_they_are() -> None:
    component = next(offered for offered in ragkit_cleaners() if offered.name == "whitespace")
    cleaner = component.build(component.options(), None)  # type: ignore[arg-type]
    assert isinstance(cleaner, WhitespaceCleaner)
    document = Document(text="a  \n", id_="x", metadata={"title": " T ", "tags": ["a"]})
    (cleaned,) = cleaner([document])
    assert (cleaned.get_content(), cleaned.node_id, cleaned.metadata) == ("a\n", "x", {"title": " T ", "tags": ["a"]})
    cleaned.metadata["more"] = 1
    assert (document.text, document.metadata) == ("a  \n", {"title": " T ", "tags": ["a"]})


def test_a_line_of_spaces_takes_no_time() -> None:
    started = time.monotonic()
    assert clean(" " * 500_000 + "x" + " " * 500_000 + "\ny").endswith("x\ny")
    assert time.monotonic() - started < 2


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_plain_texts_are_cleaned_as_others_are(text: str) -> None:
    assert clean(text) == clean(f"é\f{text}").removeprefix("é\f")
