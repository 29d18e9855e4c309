"""From bytes to documents: encodings, Markdown, HTML."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.schema import Document

from ragkit.conversion.convert import Converter
from ragkit.errors import DocumentError


def convert(uri: str, raw: bytes | str, **options: Any) -> Document:
    return Converter(**options).convert(uri, raw.encode() if isinstance(raw, str) else raw)


GERMAN = "Größe und Maß: für Österreich über Äpfel reden, das wäre schön. "


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain", "utf-8-sig"),
        ("naïve 漢字 🚀", "utf-8"),
        ("naïve 漢字 🚀", "utf-16"),
        ("naïve 漢字 🚀", "utf-32"),
        ("In English, without a mark. ", "utf-16-le"),
        ("In English, without a mark. ", "utf-16-be"),
        (GERMAN, "latin-1"),
        ("It’s a “quote” — done. ", "cp1252"),
        ("Le café est fermé à midi, où êtes-vous allé déjà ? ", "cp1252"),
        ("café", "cp1252"),
        ("Привет, мир! Это обычный русский текст. ", "cp1251"),
        ("Привет, мир! Это обычный русский текст. ", "koi8_r"),
        ("Zażółć gęślą jaźń, proszę bardzo. ", "cp1250"),
        ("これは日本語の文章です。今日は天気がいいですね。", "shift_jis"),
        ("这是一个中文文本，用于测试编码。", "gb18030"),
    ],
)
def test_encodings(text: str, encoding: str) -> None:
    assert convert("a.txt", text.encode(encoding)).text == text


def test_an_encoding_that_is_named_is_used() -> None:
    assert convert("a.txt", GERMAN.encode("cp437"), encoding="cp437").text == GERMAN
    with pytest.raises(DocumentError, match=r"a\.txt: is not in the encoding ascii: .*position 2.*\n.*leave `encoding`"):
        convert("a.txt", GERMAN.encode(), encoding="ascii")


def test_newlines_and_what_no_store_takes() -> None:
    assert convert("a.txt", b"a\r\nb\rc\x0cd").text == "a\nb\nc\x0cd"
    assert convert("a.txt", b"x" * 9_000 + b"\0y").text == "x" * 9_000 + "y"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x7fELF\x02\x01\x01\0\0\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"PK\x03\x04\x14\0\x08\0",
        random.Random(7).randbytes(5_000),
        random.Random(7).randbytes(5_000).replace(b"\0", b"\1"),
        bytes(range(1, 32)) * 100,
        b"%PDF-1.7 in disguise",
    ],
)
@pytest.mark.parametrize("uri", ["a.txt", "a.md", "a.html"])
def test_binary_files_are_told(uri: str, raw: bytes) -> None:
    with pytest.raises(DocumentError, match=r"looks binary: .*\n.*`exclude`") as caught:
        convert(uri, raw)
    assert caught.value.uri == uri


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.md", "a.html", "a.pdf"]))
@settings(deadline=None)
def test_no_bytes_crash(raw: bytes, uri: str) -> None:
    try:
        document = convert(uri, raw)
    except DocumentError:
        return
    document.text.encode()
    assert "\0" not in document.text


FRONT_MATTER = """---
title: "The: Title"
date: 2026-05-01
updated: 2026-05-01T10:00:00
author: Ann
tags: [a, b, 3]
weight: 2.5
draft: false
uri: forged
nested: {deep: 1}
nothing: null
---
# Heading

Body.
"""


def test_front_matter_becomes_metadata() -> None:
    document = convert("a.md", FRONT_MATTER)
    assert document.text == "# Heading\n\nBody.\n"
    assert document.metadata == {
        "title": "The: Title", "date": "2026-05-01", "updated": "2026-05-01T10:00:00", "author": "Ann", "tags": ["a", "b", "3"],
        "weight": 2.5, "draft": False, "uri": "a.md", "format": "markdown", "file_type": "text/markdown",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "---\nkey: [unclosed\n---\nBody.",
        "---\n- a\n- list\n---\nBody.",
        "---\ndate: 2026-99-99\n---\nBody.",
        "---\n!!python/object/apply:os.system [ls]\n---\nBody.",
        "---\n" + "[" * 5_000 + "\n---\nBody.",
        "---\nnever: closed\n",
        "--- not front matter",
        "a\n---\nb: 1\n---\n",
    ],
)
def test_what_is_no_front_matter_stays_text(text: str) -> None:
    assert convert("a.md", text).text == text


def test_a_yaml_bomb_takes_neither_time_nor_metadata() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    document = convert("a.md", "---\n" + "\n".join(lines) + "\n---\nBody.")
    assert document.text == "Body."
    assert set(document.metadata) == {"a0", "uri", "title", "format", "file_type"}


def test_titles() -> None:
    assert convert("x/first-steps.md", "## Two\n\ntext").metadata["title"] == "first-steps"
    assert convert("x/a.md", "intro\n\n# First Steps { #first }\n\n# Two").metadata["title"] == "First Steps"
    assert convert("x/notes.txt", "# no heading").metadata == {
        "uri": "x/notes.txt", "title": "notes", "format": "text", "file_type": "text/plain",
    }  # fmt: skip


HTML = """<!DOCTYPE html><html lang="en"><head><title> The
 Page </title><meta name="author" content="Ann"><style>p {color: red}</style><script>let x = "<p>bad</p>";</script></head>
<body><nav>menu</nav><main><h1>Hello<a class="headerlink" href="#hello">¶</a></h1>
<p>Some <b>bold_text</b> &amp; <a href="#x">jump</a>, <a href="https://example.org/">link</a>.</p><!-- comment -->
<pre><code class="language-python">def f():
    return 1
</code></pre>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<div style="display: none">secret</div><p hidden>secret</p><img src="data:image/png;base64,AAAA" alt="a picture">
</main><footer>imprint</footer></body></html>"""


def test_html_becomes_markdown() -> None:
    document = convert("a.html", HTML)
    assert document.text == (
        "# Hello\n\nSome **bold_text** & jump, [link](https://example.org/).\n\n```python\ndef f():\n    return 1\n```\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\na picture"
    )
    assert document.metadata == {
        "author": "Ann", "language": "en", "uri": "a.html", "title": "The Page", "format": "markdown", "file_type": "text/html",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"<meta charset=koi8-r><p>\xf0\xd2\xc9", "При"),
        (b"<meta charset=utf-8><p>caf\xe9", "café"),
        (b"<meta charset=idna><p>caf\xe9", "café"),
        ("<meta charset=koi8-r><p>café".encode(), "café"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>x</body></html>', "x"),
        (b"no tags at all", "no tags at all"),
        (b"<div>" * 3_000 + b"deep" + b"</div>" * 3_000, "deep"),
        (b"<p>cut <b>sho", "cut **sho**"),
        (b"<nav><div><nav>x</nav></div></nav><p hidden>y</p>z", "z"),
    ],
)
def test_html_as_it_is_found(raw: bytes, text: str) -> None:
    assert convert("a.html", raw).text == text


def test_the_source_loads_no_converter_before_it_is_needed() -> None:
    program = (
        "import sys; import ragkit.builtin.sources, ragkit.builtin.chunkers, ragkit.builtin.cleaners\n"
        "heavy = {'llama_index', 'bs4', 'pypdf', 'pathspec', 'charset_normalizer', 'sentencex', 'markdownify', 'yaml'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
