"""What each format becomes: text, structure, metadata."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import Document
from office import CORE, docx, epub, paragraph, table, xlsx

from ragkit.builtin.sources import FilesOptions
from ragkit.builtin.sources.files import FilesSource
from ragkit.conversion.convert import Converter
from ragkit.text import headings, pages


def convert(uri: str, raw: bytes | str) -> Document:
    return Converter().convert(uri, raw.encode() if isinstance(raw, str) else raw)


def metadata(document: Document, *names: str) -> dict[str, Any]:
    return {name: document.metadata[name] for name in names if name in document.metadata}


# Office


def test_word() -> None:
    body = paragraph("Guide", "Heading1") + paragraph("Use snake_case, *stars* &lt;b&gt;.") + paragraph("Install", "Heading2")
    document = convert("a.docx", docx(body + table(["a", "b"], ["1", "2"]), **{"docProps__core.xml": CORE}))
    assert document.text == "# Guide\n\nUse snake_case, *stars* <b>.\n\n## Install\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert metadata(document, "title", "author", "date", "language", "format") == {
        "title": "{title}", "author": "{author}", "date": "2024-05-06", "language": "en-GB", "format": "markdown",
    }  # fmt: skip


def test_a_title_that_a_program_made_is_none() -> None:
    core = {"docProps__core.xml": CORE.format(title="Document1", author="python-docx")}
    document = convert("notes.docx", docx(paragraph("The Plan", "Heading1"), **core))
    assert metadata(document, "title", "author") == {"title": "The Plan"}
    assert convert("notes.docx", docx(paragraph("no heading"))).metadata["title"] == "notes"


def test_a_picture_leaves_its_description() -> None:
    relations = (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="p1" Target="media/a.png" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image"/></Relationships>'
    )
    drawing = (
        '<w:p><w:r><w:t>Before </w:t></w:r><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/'
        'wordprocessingDrawing"><wp:docPr id="1" name="p" descr="A red fox"/><a:graphic xmlns:a="http://schemas.openxmlformats.org/'
        'drawingml/2006/main"><a:graphicData><pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture">'
        '<pic:blipFill><a:blip xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:embed="p1"/>'
        "</pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    parts = {"word___rels__document.xml.rels": relations, "word__media__a.png": b"\x89PNG" * 1_000}
    assert convert("a.docx", docx(drawing, **parts)).text == "Before A red fox"


def test_powerpoint() -> None:
    from pptx import Presentation
    from pptx.util import Inches

    show = Presentation()
    show.core_properties.author, show.core_properties.title = "Ann", "PowerPoint Presentation"
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text, first.placeholders[1].text = "Our\vPlan", "one\ntwo"
    first.notes_slide.notes_text_frame.text = "say hello"
    second = show.slides.add_slide(show.slide_layouts[5])
    second.shapes.title.text = "Prices"
    cells = second.shapes.add_table(2, 2, 0, Inches(4), Inches(2), Inches(1)).table
    for place, text in enumerate(["Plan", "Price", "Team", "9"]):
        cells.cell(place // 2, place % 2).text = text
    buffer = io.BytesIO()
    show.save(buffer)
    document = convert("a.pptx", buffer.getvalue())
    assert document.text == (
        "# Our Plan\none\ntwo\n\n### Notes:\nsay hello\n\f\n# Prices\n| Plan | Price |\n| --- | --- |\n| Team | 9 |"
    )
    assert [document.text[start:].split("\n")[0 if start == 0 else 1] for start in pages(document.text)] == [
        "# Our Plan",
        "# Prices",
    ]
    assert [heading.title for heading in headings(document.text)] == ["Our Plan", "Notes:", "Prices"]
    assert metadata(document, "title", "author", "pages") == {"title": "Our Plan", "author": "Ann", "pages": 2}


def test_excel() -> None:
    prices = [["Prices of 2024"], [], ["Plan", "Price", "Since", None, "Note"], ["Basic", 9.0, date(2024, 1, 2), None, "a|b"]]
    document = convert("a.xlsx", xlsx(Prices=prices, Empty=[], More=[["x", True], ["y", 0.1 + 0.2]]))
    assert document.text == (
        "## Prices\n\nPrices of 2024\n\n"
        "| Plan | Price | Since | Note |\n| --- | --- | --- | --- |\n| Basic | 9 | 2024-01-02 | a\\|b |"
        "\n\n## More\n\n| x | true |\n| --- | --- |\n| y | 0.3 |"
    )
    assert [heading.title for heading in headings(document.text)] == ["Prices", "More"]


def test_a_long_table_names_its_columns_in_each_row() -> None:
    rows = [["Name", "City", "#"], *([f"n{number}", "Bonn" if number % 2 else None, number] for number in range(30))]
    lines = convert("a.xlsx", xlsx(People=rows)).text.split("\n")
    assert lines[:4] == ["## People", "", "- Name: n0; #: 0", "- Name: n1; City: Bonn; #: 1"]
    assert len(lines) == 32


def test_what_a_sheet_says_of_its_size_is_not_believed() -> None:
    from openpyxl import load_workbook

    workbook = load_workbook(io.BytesIO(xlsx(S=[["a", "b"], [1, 2]])))
    workbook["S"]["XFD1048576"] = "far"
    buffer = io.BytesIO()
    workbook.save(buffer)
    assert convert("a.xlsx", buffer.getvalue()).text.startswith("## S\n\n| a | b |")


def test_a_book() -> None:
    raw = epub("<h1>Two</h1><p>See <a href='ch1.xhtml'>this</a>.</p>", "<h1>One</h1><p>snake_case</p><nav>x</nav>")
    document = convert("a.epub", raw)
    assert document.text == "# One\n\nsnake_case\n\n# Two\n\nSee this."
    assert metadata(document, "title", "author", "date", "language") == {
        "title": "The Book", "author": "Ann; Bob", "date": "2021-03-04", "language": "en",
    }  # fmt: skip


# PDF


def test_a_table_in_a_pdf() -> None:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    style = getSampleStyleSheet()["Normal"]
    rows = Table([["Plan", "Price", "Seats"], ["Basic", "9 EUR", "1"], ["Team|plus", "49 EUR", "10"]])
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, lang="en").build([Paragraph("Text before. " * 30, style), rows, Paragraph("Text after.", style)])
    document = convert("a.pdf", buffer.getvalue())
    table = "| Plan | Price | Seats |\n| --- | --- | --- |\n| Basic | 9 EUR | 1 |\n| Team\\|plus | 49 EUR | 10 |"
    assert f"\n{table}\nText after." in document.text
    assert document.text.startswith("Text before. ")
    assert document.metadata["language"] == "en"


def test_a_text_in_two_columns_is_no_table() -> None:
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for column, left in enumerate((72, 330)):
        for line in range(8):
            canvas.drawString(left, 720 - 14 * line, f"Column {column} has a line {line} like this")
    canvas.save()
    text = convert("a.pdf", buffer.getvalue()).text
    assert "|" not in text
    assert text.index("Column 0 has a line 7") < text.index("Column 1 has a line 0")


# data


@pytest.mark.parametrize(
    ("uri", "text", "wanted"),
    [
        ("a.csv", "name,city\nAnn,Bonn\n", "| name | city |\n| --- | --- |\n| Ann | Bonn |"),
        ("a.csv", 'name;price\n"Ann; B";1,5\nBob;2,5\n', "| name | price |\n| --- | --- |\n| Ann; B | 1,5 |\n| Bob | 2,5 |"),
        ("a.tsv", "a,x\tb\n1\t2\n", "| a,x | b |\n| --- | --- |\n| 1 | 2 |"),
        ("a.csv", 'a,b\n"two\nlines",2\n', "| a | b |\n| --- | --- |\n| two lines | 2 |"),
        ("a.csv", "just one\ncolumn\n", "| just one |\n| --- |\n| column |"),
        ("a.csv", "", ""),
        ("a.csv", 'a,b\n"never closed' + "x" * 200_000, 'a,b\n"never closed' + "x" * 200_000),
    ],
)
def test_csv(uri: str, text: str, wanted: str) -> None:
    assert convert(uri, text).text == wanted


def test_a_long_csv_names_its_columns_in_each_row() -> None:
    document = convert("a.csv", "# of,city\n" + "".join(f"{n},C{n}\n" for n in range(100)) + "1,2,3\n")
    lines = document.text.split("\n")
    assert (lines[0], lines[99], lines[100]) == ("- # of: 0; city: C0", "- # of: 99; city: C99", "- # of: 1; city: 2; 3")
    assert headings(document.text) == []


@pytest.mark.parametrize(
    ("uri", "text", "wanted"),
    [
        ("a.json", '{"a":{"b":[1,"ü"]}}', '{\n  "a": {\n    "b": [\n      1,\n      "ü"\n    ]\n  }\n}'),
        ("a.json", '[{"a":1},{"a":2}]', '{\n  "a": 1\n}\n\n{\n  "a": 2\n}'),
        ("a.json", "[1,2]", "[\n  1,\n  2\n]"),
        ("a.json", "{broken", "{broken"),
        ("a.json", "[" * 100_000, "[" * 100_000),
        ("a.json", "1" * 5_000, "1" * 5_000),
        ("a.json", '"\\ud800x\\u0000"', '"x\\u0000"'),
        ("a.jsonl", '{"a":1}\nbroken\n\n{"a":2}\n', '{\n  "a": 1\n}\n\nbroken\n\n{\n  "a": 2\n}'),
    ],
)
def test_json(uri: str, text: str, wanted: str) -> None:
    assert convert(uri, text).text == wanted


def notebook(*cells: dict[str, Any]) -> str:
    return json.dumps({"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4})


def test_a_notebook() -> None:
    outputs = [
        {"output_type": "stream", "text": ["\x1b[31m4\x1b[0m\n", "5\n"]},
        {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": ["<Figure>"]}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["long"]},
    ]
    document = convert(
        "a.ipynb",
        notebook(
            {"cell_type": "markdown", "source": ["# Title\n", "Text."]},
            {"cell_type": "code", "source": "print('```')", "outputs": outputs},
            {"cell_type": "code", "source": "x" * 3, "outputs": [{"output_type": "stream", "text": "y" * 5_000}]},
            {"cell_type": "code", "source": "", "outputs": []},
        ),
    )
    assert document.text == (
        "# Title\nText.\n\n````python\nprint('```')\n````\n\n```text\n4\n5\n<Figure>\nValueError: no\n```\n\n"
        f"```python\nxxx\n```\n\n```text\n{'y' * 1_000} …\n```"
    )
    assert metadata(document, "title", "programming_language", "format") == {
        "title": "Title", "programming_language": "python", "format": "markdown",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["{}", "[]", '{"cells": 1}', '{"cells": [1]}', "{broken", '{"cells": [{"outputs": [3]}]}'])
def test_what_is_no_notebook_stays_text(text: str) -> None:
    assert convert("a.ipynb", text).text in (text, "")


@pytest.mark.parametrize(
    ("uri", "language"),
    [
        ("src/a.py", "python"), ("A.CPP", "cpp"), ("x/Dockerfile", "dockerfile"), ("a.cs", "csharp"), ("a.ts", "typescript"),
        ("a.sh", "bash"), ("CMakeLists.txt", "cmake"), ("a.yaml", "yaml"), ("a.h", "c"),
    ],
)  # fmt: skip
def test_source_code(uri: str, language: str) -> None:
    document = convert(uri, "# x\n\ty = 1\n")
    assert document.text == "# x\n\ty = 1\n"
    assert metadata(document, "programming_language", "format", "title", "category", "language") == {
        "programming_language": language, "format": "text", "title": Path(uri).name,
    }  # fmt: skip


def test_the_default_takes_every_format(tmp_path: Path) -> None:
    names = ["Dockerfile", "a.csv", "a.docx", "a.epub", "a.ipynb", "a.json", "a.md", "a.pdf", "a.pptx", "a.py", "a.txt", "a.xlsx"]
    for name in [*names, "a.min.js", "a.png", "package-lock.json", "a.exe"]:
        (tmp_path / name).write_text("x")
    assert [entry.uri for entry in FilesSource(FilesOptions(path=tmp_path)).entries()] == names


# metadata


def test_what_a_page_says_of_itself() -> None:
    page = '<html lang=en><head><meta property="article:published_time" content="2024-05-06T07:08:09Z"><title>T</title></head>x'
    assert metadata(convert("a.html", page), "date", "language", "title") == {
        "date": "2024-05-06T07:08:09+00:00", "language": "en", "title": "T",
    }  # fmt: skip
    front = "---\nauthors: [Ann, Bob]\ndate: May 6, 2024\nlang: de\n---\nx"
    assert metadata(convert("a.md", front), "author", "date", "language") == {
        "author": "Ann; Bob", "date": "2024-05-06", "language": "de",
    }  # fmt: skip


def test_a_table_without_a_header_takes_its_first_row() -> None:
    text = convert("a.html", "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>").text
    assert text == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_converters_of_documents_are_loaded_for_documents_only(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# x")
    (tmp_path / "a.py").write_text("x = 1")
    program = (
        "import sys; from pathlib import Path; from ragkit.builtin.sources import FilesOptions\n"
        "from ragkit.builtin.sources.files import FilesSource\n"
        "list(FilesSource(FilesOptions(path=Path(sys.argv[1]))))\n"
        "heavy = {'markitdown', 'pandas', 'openpyxl', 'pptx', 'pypdf', 'bs4', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
