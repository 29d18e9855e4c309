"""`markdown`, `html` and `code`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from cutting import build, cut

from ragkit.builtin.chunkers.breaks import Break
from ragkit.builtin.structure.grammars import LANGUAGES, language_of, parser
from ragkit.builtin.structure.html import html_breaks
from ragkit.errors import ComponentError
from ragkit.words import WordTokenizer

TEXT = "Some words stand here and say very little. "


# markdown


def test_whole_sections_stay_together(tmp_path: Path) -> None:
    text = f"# A\n\n{TEXT * 3}\n\n## A1\n\n{TEXT}\n\n# B\n\n{TEXT * 4}\n"
    chunks = cut(build(tmp_path, "markdown", size=48, overlap=0), text, format="markdown")
    assert [chunk.splitlines()[0] for chunk in chunks] == ["# A", "# B"]
    assert "## A1" in chunks[0]


def test_a_section_that_does_not_fit_is_cut_at_its_own_headings(tmp_path: Path) -> None:
    text = f"# A\n\n{TEXT * 3}\n\n## A1\n\n{TEXT * 4}\n\n## A2\n\n{TEXT * 4}\n\n# B\n\nShort."
    chunks = cut(build(tmp_path, "markdown", size=48, overlap=0), text, format="markdown")
    assert [chunk.splitlines()[0] for chunk in chunks] == ["# A", "## A1", "## A2"]
    assert chunks[-1].endswith("# B\n\nShort."), "a rest that is small is joined with what is before it"


def test_small_neighbours_are_joined(tmp_path: Path) -> None:
    text = "".join(f"# Section {n}\n\nA few words.\n\n" for n in range(12))
    chunks = cut(build(tmp_path, "markdown", size=30, overlap=0), text, format="markdown")
    assert [chunk.count("# Section") for chunk in chunks] == [4, 4, 4]


def test_a_long_section_is_cut_by_sentence(tmp_path: Path) -> None:
    chunks = cut(build(tmp_path, "markdown", size=40, overlap=0), f"# A\n\n{TEXT * 20}\n\n# B\n\n{TEXT}", format="markdown")
    assert len(chunks) > 4
    assert all(chunk.endswith("little.") for chunk in chunks)
    assert chunks[0].startswith("# A\n\nSome")


def test_a_heading_without_text_stays_with_what_follows(tmp_path: Path) -> None:
    text = f"# Guide\n\n## Install\n\n{TEXT * 4}\n\n## Use\n\n{TEXT * 4}"
    chunks = cut(build(tmp_path, "markdown", size=44, overlap=0), text, format="markdown")
    assert [chunk.split("\n\nSome")[0] for chunk in chunks] == ["# Guide\n\n## Install", "## Use"]


def test_a_heading_without_text_is_no_chunk_of_its_own(tmp_path: Path) -> None:
    text = f"# Guide\n\n## Install\n\n{TEXT * 20}\n\n## Use\n\n{TEXT * 20}"
    chunks = cut(build(tmp_path, "markdown", size=44, overlap=0), text, format="markdown")
    assert chunks[0].startswith("# Guide\n\n## Install\n\nSome")


def test_without_headings_it_cuts_as_sentence_does(tmp_path: Path) -> None:
    text = f"# no heading here\n\n{TEXT * 30}"
    assert cut(build(tmp_path, "markdown", size=40), text) == cut(build(tmp_path, "sentence", size=40), text)


def test_headings_in_fenced_code_are_none(tmp_path: Path) -> None:
    code = "run it now\n" * 5
    text = f"# A\n\n```sh\n# comment\n{code}```\n\n# B\n\n{TEXT * 3}"
    chunks = cut(build(tmp_path, "markdown", size=40, overlap=0), text, format="markdown")
    assert [chunk.splitlines()[0] for chunk in chunks] == ["# A", "# B"]


# html


def test_raw_html_is_cut_at_block_elements(tmp_path: Path) -> None:
    text = "".join(f"<h2>Part {n}</h2><p class='x > y'>{TEXT * 2}<b>Bold.</b></p>\n" for n in range(6))
    chunks = cut(build(tmp_path, "html", size=60, overlap=0), text, format="html")
    assert len(chunks) == 6
    assert all(chunk.startswith("<h2>Part") and chunk.endswith("</p>") for chunk in chunks)


def test_what_follows_a_heading_is_bound_to_it() -> None:
    html = "<h2>T</h2>\n<p>One.</p><h3>U</h3>text<p>Two. Three.</p><ul><li>x</ul>"
    kinds = {html[place:][:4]: kind for place, kind in html_breaks(html, "en")}
    assert kinds == {
        "<h2>": Break.SECTION, "<p>O": Break.BOUND, "<h3>": Break.HEADING, "<p>T": Break.PARAGRAPH, "Thre": Break.SENTENCE,
        "<ul>": Break.PARAGRAPH, "<li>": Break.SENTENCE,
    } | {key: kind for key, kind in kinds.items() if kind is Break.SENTENCE}  # fmt: skip


def test_no_tag_is_cut_in_two(tmp_path: Path) -> None:
    text = "<p>" + "".join(f"One more. <a href='http://example.org/a. B c. D e.'>Link {n}.</a> " for n in range(40)) + "</p>"
    for chunk in cut(build(tmp_path, "html", size=40, overlap=0), text, format="html"):
        assert chunk.count("<a ") == chunk.count("D e.'>"), chunk


def test_what_is_no_html_is_cut_as_markdown(tmp_path: Path) -> None:
    text = f"# A\n\n{TEXT * 5}\n\n# B\n\n<p>{TEXT * 5}</p>"
    for form in ("markdown", "text"):
        assert cut(build(tmp_path, "html", size=50), text, format=form) == cut(
            build(tmp_path, "markdown", size=50), text, format=form
        )


@pytest.mark.parametrize("text", ["<![if x]>a b<![endif]>", "<", "<!--" * 50, "<p " * 50, "<![CDATA[ a ]]", "&#x; &lt <p>x"])
def test_broken_html_is_cut_all_the_same(tmp_path: Path, text: str) -> None:
    chunks = cut(build(tmp_path, "html"), text, format="html")
    assert "".join("".join(chunks).split()) == "".join(text.split())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["<!--", "<p ", "<", "&#", "<![", "</", "<a b='", "<div>", "<script>"])
def test_endless_broken_html_takes_bounded_time(tmp_path: Path, piece: str) -> None:
    assert cut(build(tmp_path, "html"), piece * 20_000, format="html")


# code

MODULE = '''"""A module."""

import os

# what first does
# in two lines
@decorated
def first(value):
    return os.path.join("a", str(value), "b", "c", "d")


class Thing:
    """A thing."""

    # says hello
    @property
    def hello(self):
        text = "hello " + self.name
        return text.upper()

    def bye(self):
        text = "bye " + self.name
        return text.lower()  # politely


def last():
    return 1
'''


def test_functions_stay_whole_with_their_comments_and_decorators(tmp_path: Path) -> None:
    chunks = cut(build(tmp_path, "code", size=46, overlap=0), MODULE, programming_language="python")
    assert [chunk.splitlines()[0] for chunk in chunks] == [
        '"""A module."""',
        "# what first does",
        "class Thing:",
        "def bye(self):",
        "def last():",
    ]
    assert "# says hello\n    @property\n    def hello" in chunks[2]
    assert "# politely" in chunks[3]


def test_what_fits_is_not_cut(tmp_path: Path) -> None:
    assert cut(build(tmp_path, "code", overlap=0), MODULE, uri="a/module.py") == [MODULE.strip()]


def test_a_long_function_is_cut_between_statements(tmp_path: Path) -> None:
    text = "def f(x):\n" + "".join(f"    if x == {n}:\n        x = x + {n}\n" for n in range(20)) + "    return x\n"
    chunks = cut(build(tmp_path, "code", size=40, overlap=0), text, programming_language="Python")
    assert len(chunks) > 3
    assert all(chunk.startswith(("def f", "if x")) for chunk in chunks)


def test_a_long_literal_is_cut_by_lines_with_overlap(tmp_path: Path) -> None:
    text = 'TEXT = """\n' + "".join(f"line {n} of it\n" for n in range(40)) + '"""\n'
    chunks = cut(build(tmp_path, "code", size=40, overlap=8), text, programming_language="python")
    first, second = chunks[0].splitlines(), chunks[1].splitlines()
    assert set(first) & set(second)
    assert all(line.startswith(("line", "TEXT", '"""')) for chunk in chunks for line in chunk.splitlines())


SOURCES = {
    "a.sh": "one() {\n  echo 1 2 3 4 5 6 7 8 9 10\n}\n\ntwo() {\n  echo 1 2 3 4 5 6 7 8 9 10\n}\n",
    "a.c": "int one(int a) {\n  return a + 1 + 2 + 3;\n}\n\nint two(int a) {\n  return a + 1 + 2 + 3;\n}\n",
    "a.cs": "class A {\n  int One(int a) { return a + 1 + 2; }\n}\nclass B {\n  int Two(int a) { return a + 1 + 2; }\n}\n",
    "a.cpp": "class A {\n  int one(int a) { return a + 1; }\n};\n\nclass B {\n  int two(int a) { return a + 1; }\n};\n",
    "a.go": "func one(a int) int {\n\treturn a + 1 + 2 + 3\n}\n\nfunc two(a int) int {\n\treturn a + 1 + 2 + 3\n}\n",
    "A.java": "class A {\n  int one(int a) { return a + 1; }\n}\n\nclass B {\n  int two(int a) { return a + 1; }\n}\n",
    "a.js": "function one(a) {\n  return a + 1 + 2 + 3 + 4;\n}\n\nfunction two(a) {\n  return a + 1 + 2 + 3 + 4;\n}\n",
    "a.php": "<?php\nfunction one($a) {\n  return $a + 1 + 2;\n}\n\nfunction two($a) {\n  return $a + 1 + 2 + 3;\n}\n",
    "a.py": "def one(a):\n    return a + 1 + 2 + 3 + 4 + 5\n\n\ndef two(a):\n    return a + 1 + 2 + 3 + 4 + 5\n",
    "a.rb": "def one(a)\n  a + 1 + 2 + 3 + 4 + 5 + 6\nend\n\ndef two(a)\n  a + 1 + 2 + 3 + 4 + 5 + 6\nend\n",
    "a.rs": "/// One.\nfn one(a: i32) -> i32 {\n    a + 1\n}\n\n/// Two.\n#[test]\nfn two(a: i32) -> i32 {\n    a + 1\n}\n",
    "a.tsx": "const One = (a: A) => <b>{a + 1 + 2}</b>;\n\nconst Two = (a: A) => <b>{a + 1 + 2}</b>;\n",
    "a.ts": "function one(a: number) {\n  return a + 1 + 2 + 3;\n}\n\nfunction two(a: number) {\n  return a + 1 + 2 + 3;\n}\n",
}


@pytest.mark.parametrize("uri", SOURCES)
def test_every_language_keeps_definitions_whole(tmp_path: Path, uri: str) -> None:
    assert language_of(None, uri) in LANGUAGES
    text = SOURCES[uri]
    size = 28
    chunks = cut(build(tmp_path, "code", size=size, overlap=0), text, uri=uri)
    assert len(chunks) == 2, chunks
    middle = text.lower().index("two")
    assert middle - 40 < text.index(chunks[1]) <= middle
    assert "one" in chunks[0].lower()


@pytest.mark.parametrize(
    ("named", "uri", "language"),
    [
        ("Python", "", "python"), ("C++", "x.py", "cpp"), ("C#", "", "c_sharp"), ("js", "", "javascript"),
        ("COBOL", "x.py", None), ("", "src/x.PY", "python"), (None, "https://example.org/a/b.rs?raw=1#L3", "rust"),
        (None, "README.md", None), (None, None, None), (3, "a.go", "go"),
    ],
)  # fmt: skip
def test_how_the_language_is_told(named: Any, uri: Any, language: str | None) -> None:
    assert language_of(named, uri) == language


def test_an_unknown_language_is_cut_by_lines(tmp_path: Path) -> None:
    text = "\n\n".join(f"PROCEDURE P{n}\n  ADD 1 TO X{n}\n  END P{n}" for n in range(12))
    chunks = cut(build(tmp_path, "code", size=30, overlap=0), text, uri="a.cob")
    assert len(chunks) == 4
    assert all(chunk.startswith("PROCEDURE") for chunk in chunks)


def test_offsets_count_characters_not_bytes(tmp_path: Path) -> None:
    text = "".join(f'def f{n}():\n    return "grüße 🙂 漢字 {n}"\n\n\n' for n in range(8))
    chunks = cut(build(tmp_path, "code", size=30, overlap=0), text, uri="a.py")
    assert all(chunk.startswith("def f") for chunk in chunks)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text", ["(" * 50_000, "x = [\n" + "1,\n" * 60_000 + "]", "if a:\n" * 500, "{" * 9_000 + "}" * 9_000, "a" * 300_000]
)
def test_what_is_no_program_takes_bounded_time(tmp_path: Path, text: str) -> None:
    chunks = cut(build(tmp_path, "code"), text, uri="a.py")
    assert max(WordTokenizer().count(chunks)) <= 220


def test_a_missing_grammar_is_told_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragkit.builtin.structure import grammars

    grammars._language.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_ruby", None)
    chunker = build(tmp_path, "code", size=20, overlap=0)
    with pytest.raises(ComponentError, match=r"grammar for ruby is not installed[\s\S]*pip install 'ragkit\[code\]'"):
        cut(chunker, "def a\n  1\nend\n" * 9, uri="a.rb")
    assert cut(chunker, "def a():\n    return 1\n", uri="a.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ComponentError, match=r"needs tree-sitter[\s\S]*pip install 'ragkit\[code\]'"):
        build(tmp_path, "code")


def test_every_grammar_loads() -> None:
    for language in LANGUAGES:
        assert parser(language).parse(b"x").root_node is not None
