"""The cleaners `unicode`, `boilerplate` and `contacts`; `whitespace` has a file of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import Document
from projects import Project
from pydantic import ValidationError

from ragkit.builtin.cleaners import ragkit_cleaners
from ragkit.components import Role
from ragkit.state.reader import Reader

COMPONENTS = {component.name: component for component in ragkit_cleaners()}
MARKDOWN = {"format": "markdown"}


def cleaned(name: str, text: str, metadata: dict[str, Any] | None = None, **options: Any) -> str:
    return clean(name, Document(text=text, metadata=metadata or {}), **options).text


def clean(name: str, document: Document, **options: Any) -> Document:
    component = COMPONENTS[name]
    (found,) = component.build(component.options(**options), None)([document])  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_option_changes_the_index(name: str) -> None:
    options = COMPONENTS[name].options
    assert {options.role(field) for field in options.model_fields} == {Role.IDENTITY}


@pytest.mark.parametrize("name", COMPONENTS)
def test_documents_handed_in_stay_as_they_are(name: str) -> None:
    document = Document(text="ﬁ  \nann@example.org\nRead more", id_="x", metadata={"author": "ann@example.org", "uri": "u"})
    found = clean(name, document)
    assert (found.id_, found.metadata["uri"], found.text != document.text) == ("x", "u", True)
    assert document.text == "ﬁ  \nann@example.org\nRead more"
    assert document.metadata == {"author": "ann@example.org", "uri": "u"}


@pytest.mark.parametrize("name", COMPONENTS)
@given(text=st.text(st.sampled_from("ab1 \n\f#|-`~[]()<>@.:/©\u00adﬁ²“é\u0301"), max_size=200), markdown=st.booleans())
@settings(deadline=None, max_examples=200)
def test_no_text_crashes_and_pages_stay_pages(name: str, text: str, markdown: bool) -> None:
    found = cleaned(name, text, {"format": "markdown" if markdown else "text"})
    assert found.count("\f") == text.count("\f")


@pytest.mark.parametrize("name", COMPONENTS)
@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        "a@" * 50_000,
        "`" * 99_999,
        "a" * 100_000 + "@",
        "http://" + "(" * 100_000,
        "\u00ad\n" * 50_000,
        "[a](b) " * 20_000,
    ],
)
def test_no_text_takes_long(name: str, line: str) -> None:
    started = time.monotonic()
    cleaned(name, line, MARKDOWN, **({"urls": "shorten"} if name == "contacts" else {}))
    assert time.monotonic() - started < 5


# unicode


def test_words_get_the_form_that_is_searched_for() -> None:
    text = "e\u0301tude, e\ufb03cient, ex\u00adam\u00ad\n  ple, x², ‘a’ and “b”"
    assert cleaned("unicode", text) == "étude, efficient, example, x², ‘a’ and “b”"
    assert cleaned("unicode", text, form="NFKC", quotes=True) == "étude, efficient, example, x2, 'a' and \"b\""
    assert cleaned("unicode", "\ufb01n\u00ad", ligatures=False, soft_hyphens=False) == "\ufb01n\u00ad"


def test_unicode_leaves_code_as_it_is() -> None:
    text = "“a” `“b”`\n\n```\n“c” ²\n```\n“d”"
    assert cleaned("unicode", text, MARKDOWN, form="NFKC", quotes=True) == '"a" `“b”`\n\n```\n“c” ²\n```\n"d"'
    assert cleaned("unicode", text, {"programming_language": "python", "format": "text"}, quotes=True) == text
    notebook = {"programming_language": "python", "format": "markdown"}
    assert cleaned("unicode", text, notebook, quotes=True).endswith('\n"d"')


# boilerplate


def paged(*pages: str) -> str:
    return "\n\f\n".join(pages)


def test_running_headers_footers_and_page_numbers_go() -> None:
    text = [f"{name} of the story.\nIt has {name} parts." for name in ("one", "two", "three", "four", "five")]
    pages = [f"Annual Report 2024\n\n{page}\n\nACME confidential\nPage {n} of 12" for n, page in enumerate(text, 4)]
    assert cleaned("boilerplate", paged(*pages)).split("\f") == text
    assert cleaned("boilerplate", paged(*pages), pages=False) == paged(*pages)
    pages = [f"Report   {n}\n{page}\n- {n} -" for n, page in enumerate(text, 10)]
    assert cleaned("boilerplate", paged(*pages)).split("\f") == text


def test_left_and_right_pages_have_headers_of_their_own() -> None:
    pages = [f"{n}\n{'The Book' if n % 2 else 'The Chapter'}\nText {'abcdefgh'[n]}." for n in range(8)]
    assert [page.strip() for page in cleaned("boilerplate", paged(*pages)).split("\f")] == [f"Text {c}." for c in "abcdefgh"]


@pytest.mark.parametrize(
    "pages",
    [
        ["Same start\nOne.", "Same start\nTwo."],
        [f"{n * n} 200 {n * 7}\nrow" for n in range(9)],
        [f"Exercise {n}\nText of row" for n in range(9)],
        [f"{n}. item\n{n} row" for n in range(9)],
        ["All the same"] * 5,
        [f"200 300\nText of row {n}" for n in range(5)],
        [
            f"{'A header of three pages in twenty' if n < 3 else 'Page of its own'} {'row' if n >= 3 else ''}\nrow"
            for n in range(20)
        ],
        ["# Same heading\nOne.", "# Same heading\nTwo.", "# Same heading\nThree."],
        ["| a | b |\nOne.", "| a | b |\nTwo.", "| a | b |\nThree."],
        [f"Text {c} first.\nThis line stands in the middle.\nx\ny\nz\nw\nText {c} last." for c in "abcd"],
        ["A header of two pages in ten\nx", "A header of two pages in ten\ny", *(f"Page of its own {c}" for c in "abcdefgh")],
    ],
)
def test_what_is_no_running_line_stays(pages: list[str]) -> None:
    text = paged(*(page.replace("row", f"row {number}x") for number, page in enumerate(pages)))
    assert cleaned("boilerplate", text, web=False) == text


WEB = """\
We use cookies to give you the best experience.
Accept all cookies
# How to bake bread

Flour, water, salt.

- Sign in
- Share on Facebook
[Privacy policy](/privacy) | [Terms of use](/terms)
**Read more →**
We use cookies of oats in this recipe.
Share this with your family.

```
Read more
```
© 2024 Baker & Sons. All rights reserved.
"""


def test_lines_around_a_web_page_go() -> None:
    found = cleaned("boilerplate", WEB, MARKDOWN)
    assert [line for line in found.split("\n") if line] == [
        "# How to bake bread", "Flour, water, salt.", "- Sign in", "[Privacy policy](/privacy) | [Terms of use](/terms)",
        "We use cookies of oats in this recipe.", "Share this with your family.", "```", "Read more", "```",
    ]  # fmt: skip
    assert cleaned("boilerplate", WEB, MARKDOWN, web=False) == WEB
    assert cleaned("boilerplate", "[Privacy policy](/p)\nText.", MARKDOWN) == "Text."
    assert cleaned("boilerplate", "Read more", {"programming_language": "bash", "format": "text"}) == "Read more"


def test_menus_go_before_and_behind_the_text_only() -> None:
    menu = "\n".join(f"- [Item {n}](/{n})" for n in range(4))
    assert cleaned("boilerplate", f"Home > Docs > Bread\n{menu}\n\nText.\n\n{menu}\n\nMore.\n{menu}\n", MARKDOWN) == (
        f"Text.\n\n{menu}\n\nMore."
    )
    long = "\n".join(f"- [A report on item number {n}](/{n})" for n in range(4))
    for text in (menu, f"- [One](/1)\n- [Two](/2)\n\nText.\n{long}", f"# Contents\n{menu}\n\nText."):
        assert cleaned("boilerplate", text, MARKDOWN) == text


def test_lines_of_ones_own() -> None:
    assert cleaned("boilerplate", "Draft\nThe draft.\n> *DRAFT*", lines=["draft"], web=False) == "The draft."
    for bad in ("", "--", "a\nb"):
        with pytest.raises(ValidationError):
            COMPONENTS["boilerplate"].options(lines=(bad,))


# contacts


@pytest.mark.parametrize(
    ("text", "masked", "removed"),
    [
        ("Write to ann.b+c@mail.example.org, please.", "Write to [email], please.", "Write to, please."),
        ("<ann@example.org> or mailto:ann@example.org", "[email] or [email]", " or"),
        ("[Ann](mailto:ann@example.org?subject=x)", "Ann", "Ann"),
        ("jörg@müller.example", "[email]", ""),
        ("`ann@example.org`", "`[email]`", "``"),
        ("git clone git@example.org:a/b", "git clone git@example.org:a/b", "git clone git@example.org:a/b"),
        ("a@b, @handle, 5 @ 3, x@y.1", "a@b, @handle, 5 @ 3, x@y.1", "a@b, @handle, 5 @ 3, x@y.1"),
    ],
)
def test_addresses(text: str, masked: str, removed: str) -> None:
    assert cleaned("contacts", text) == masked
    assert cleaned("contacts", text, emails="remove") == removed
    assert cleaned("contacts", text, emails="keep") == text


def test_addresses_in_metadata() -> None:
    metadata = {"author": "Ann <ann@example.org>", "tags": ["a@example.org", "b"], "uri": "ann@example.org.md", "n": 1}
    found = clean("contacts", Document(text="x", metadata=metadata))
    assert found.metadata == {"author": "Ann [email]", "tags": ["[email]", "b"], "uri": "ann@example.org.md", "n": 1}


@pytest.mark.parametrize(
    ("text", "shortened", "removed"),
    [
        ("See https://docs.example.org/a/b?c=d#e.", "See docs.example.org.", "See."),
        ("See www.example.org/a, too", "See www.example.org, too", "See, too"),
        ('[the docs](https://example.org/a_(b) "T") and ![a cat](cat.png)', "the docs and a cat", "the docs and a cat"),
        ("<https://example.org/x> (https://example.org/y)", "example.org (example.org)", " ()"),
        ("`https://example.org/x` [x] (y)", "`https://example.org/x` [x] (y)", "`https://example.org/x` [x] (y)"),
        ("```\ncurl https://example.org\n```", "```\ncurl https://example.org\n```", "```\ncurl https://example.org\n```"),
        ("https://[broken", "https://[broken", "https://[broken"),
    ],
)
def test_links(text: str, shortened: str, removed: str) -> None:
    assert cleaned("contacts", text, MARKDOWN) == text
    assert cleaned("contacts", text, MARKDOWN, urls="shorten") == shortened
    assert cleaned("contacts", text, MARKDOWN, urls="remove") == removed


# in an ingest

PAGE = """\
---
title: The e\ufb03cient guide
author: ann@example.org
---
We use cookies to improve your experience.

# The guide

The e\ufb03cient way is “short”.\u00a0 Write to ann@example.org, or read https://docs.example.org/guide/long/path?x=1 today.

```python
link = "https://example.org/kept"
```

Share this article
"""
CLEAN = "clean: [whitespace, {use: unicode, quotes: true}, boilerplate, {use: contacts, urls: shorten}]"


def test_citations_stay_true_after_all_cleaners(tmp_path: Path) -> None:
    project = Project(tmp_path, size=60, more=CLEAN)
    project.write("guide.md", PAGE)
    assert project.ingest().exit_status == 0
    with project.open() as pipeline:
        hits = pipeline.search("efficient way docs write").hits
        answer = pipeline.ask("What is the efficient way?")
        reader = Reader(pipeline._index.ledger, pipeline._index.live())
        (document,), chunks = reader.documents(), list(reader.all())
    text = document.text
    assert '"short"' in text
    assert "cookies" not in text
    assert "Share this" not in text
    assert "Write to [email], or read docs.example.org today." in text
    assert '"https://example.org/kept"' in text
    assert chunks
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert hits[0].metadata["author"] == "[email]"
    assert answer.citations
    assert all(text[citation.start : citation.end] == citation.quote for citation in answer.citations)


def test_another_cleaner_cleans_again(tmp_path: Path) -> None:
    project = Project(tmp_path, more="clean: [whitespace]")
    project.write("a.md", "Write to ann@example.org today.\n")
    project.ingest()
    assert project.ingest().documents["unchanged"] == 1
    project.configure(more="clean: [whitespace, contacts]")
    assert project.ingest().documents["updated"] == 1
    assert project.hits("write today") == ["Write to [email] today."]
    project.configure(more="clean: [whitespace, {use: contacts, emails: remove}]")
    assert project.ingest().documents["updated"] == 1
    assert project.hits("write today") == ["Write to today."]
