"""What of a chunk can be quoted."""

from __future__ import annotations

import pytest

from ragkit.builtin.answerers.passages import MAX_QUOTE_CHARS, anything, quotable, readable

PAGE = """## Install the package

Run the installer, and wait a little. It asks for a folder!

```bash
pip install the-package-and-more-words
```

| column | another column |
|---|---|
| a cell of words | another cell of words |

* The first item says something useful.
* The second item does too, **really**.

![a picture of something](picture.png)

/// tip

Use a virtual environment for this.

///
"""


def quotes(text):
    return [text[start:end] for start, end in quotable(text)]


def test_sentences_of_prose_and_items_only():
    assert quotes(PAGE) == [
        "Run the installer, and wait a little.",
        "It asks for a folder!",
        "* The first item says something useful.",
        "* The second item does too, **really**.",
        "Use a virtual environment for this.",
    ]


def test_a_chunk_that_begins_inside_of_code():
    text = "app = FastAPI()\n@app.get('/')\ndef root(): return {}\n```\n\nThis is what the code above does."
    assert quotes(text) == ["This is what the code above does."]


def test_a_chunk_that_ends_inside_of_code():
    text = "This is what the code below does.\n\n```python\nname = compute_the_name(of_it)\n"
    assert quotes(text) == ["This is what the code below does."]


def test_a_sentence_goes_on_over_lines():
    assert quotes("One sentence that is\nbroken over lines. Another sentence here.") == [
        "One sentence that is\nbroken over lines.",
        "Another sentence here.",
    ]


def test_very_long_sentences_are_cut_at_a_word():
    (quote,) = quotes("word " * 200)
    assert len(quote) <= MAX_QUOTE_CHARS
    assert quote.endswith("word")


def test_scripts_without_spaces_are_quoted():
    assert quotes("东京是日本的首都。大阪是第二大城市。") == ["东京是日本的首都。", "大阪是第二大城市。"]


def test_code_alone_gives_lines():
    text = "```python\nx = 1\n\ny = 2\n```"
    assert quotable(text) == []
    assert [text[start:end] for start, end in anything(text)] == ["x = 1", "y = 2"]


@pytest.mark.parametrize("text", ["", "\n\n", "```", "#", "* ", "\x00", "|", "a" * 5000])
def test_odd_texts_do_no_harm(text):
    for start, end in [*quotable(text), *anything(text)]:
        assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    ("quote", "seen"),
    [
        ("* See [the docs](https://x.y/z){.link} for **more**.", "See the docs for more."),
        ("1. Use `snake_case_names` and _care_.", "Use `snake_case_names` and care."),
        ("A <abbr title='x'>term</abbr>\nover lines", "A term over lines"),
        ("2 * 3 * 4 is 24", "2 * 3 * 4 is 24"),
    ],
)
def test_quotes_are_made_readable(quote, seen):
    assert readable(quote) == seen
