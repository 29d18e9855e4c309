"""Word, PowerPoint and Excel, through markitdown and what it brings."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from ragkit.conversion.convert import Content
from ragkit.conversion.dates import iso_date
from ragkit.conversion.decode import storable
from ragkit.conversion.markdown import first_title
from ragkit.conversion.packages import check_xml, dublin_core, open_package, parse
from ragkit.conversion.tables import table_text
from ragkit.errors import DocumentError
from ragkit.text import PAGE_BREAK

if TYPE_CHECKING:
    import zipfile

# escapes would stand in every quotation; a table without a header takes its first row
_MARKDOWN = {"escape_asterisks": False, "escape_underscores": False, "escape_misc": False, "table_infer_header": True}
_SLIDE = re.compile(r"\s*<!-- Slide number: \d+ -->\s*")
_SLIDE_PICTURE = re.compile(r"!\[([^\]\n]*)\]\((\w+)\.jpg\)")
_WORD_PICTURE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_BLANK_LINES = re.compile(r"\n{3,}")
_CORE = "docProps/core.xml"
_NO_TITLE = re.compile(
    r"untitled.*|powerpoint[ -]pr[äae]sentation|presentation\d*|document\d*|.*\.(?:docx?|pptx?|dotx?)", re.IGNORECASE
)
_NO_AUTHOR = re.compile(r"openpyxl|python-docx|apache poi|microsoft office[ -]user", re.IGNORECASE)
_MAX_CELLS = 5_000_000


def read_docx(uri: str, raw: bytes) -> Content:
    """A Word document as Markdown; of a picture its description stays."""
    with open_package(uri, raw) as package:
        check_xml(uri, package)
        title, metadata = _properties(uri, package)
    from markitdown import StreamInfo
    from markitdown.converters import DocxConverter

    found = DocxConverter().convert(io.BytesIO(raw), StreamInfo(extension=".docx"), **_MARKDOWN).markdown
    text = _tidy(_WORD_PICTURE.sub(r"\1", found))
    return Content(text, "markdown", title or first_title(text), metadata)


def read_pptx(uri: str, raw: bytes) -> Content:
    """A presentation as Markdown: a slide is a page, its title a heading, then its text, tables, charts and notes."""
    with open_package(uri, raw) as package:
        check_xml(uri, package)
        title, metadata = _properties(uri, package)
    from markitdown import StreamInfo
    from markitdown.converters import PptxConverter

    found = PptxConverter().convert(io.BytesIO(raw), StreamInfo(extension=".pptx"), **_MARKDOWN).markdown
    found = _SLIDE_PICTURE.sub(_description, found.replace("\x0b", " ").replace(PAGE_BREAK, " "))
    slides = [_tidy(slide) for slide in _SLIDE.split(found)[1:]]
    text = f"\n{PAGE_BREAK}\n".join(slides)
    return Content(text, "markdown", title or first_title(text), {"pages": len(slides), **metadata})


def read_xlsx(uri: str, raw: bytes) -> Content:
    """A workbook as Markdown: a heading and a table for each sheet that is not empty. Formulas stand with their last result.

    openpyxl reads it, on which markitdown relies, too; its own tables come from pandas with `NaN` for every empty cell and
    `9.0` for 9, and take 6 times as long.
    """
    with open_package(uri, raw) as package:
        check_xml(uri, package)
        title, metadata = _properties(uri, package)
    from openpyxl import load_workbook

    workbook = load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
    try:
        parts = []
        for sheet in workbook.worksheets:
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            lines = list(table_text(_rows(uri, sheet)))
            if lines:
                parts.append("\n".join([f"## {sheet.title}", "", *lines]))
    finally:
        workbook.close()
    return Content(storable("\n\n".join(parts)), "markdown", title, metadata)


def _rows(uri: str, sheet: Any) -> Iterator[list[str]]:
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row) + 1
        if cells > _MAX_CELLS:
            raise DocumentError(
                f"{uri}: its sheet {sheet.title!r} has more than {_MAX_CELLS:,} cells", uri=uri, cure="save the sheet as CSV"
            )
        yield [_shown(value) for value in row]


def _shown(value: Any) -> str:
    """A cell's value as a spreadsheet shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _properties(uri: str, package: zipfile.ZipFile) -> tuple[str, dict[str, Any]]:
    """The title and the metadata that the file says of itself. Its date is that of its last change."""
    if _CORE not in package.namelist():
        return "", {}
    try:
        found = dublin_core(parse(uri, package, _CORE))
    except DocumentError:  # the text matters more
        return "", {}
    title, author = _first(found, "title"), "; ".join(found.get("creator", ()))
    values = {
        "author": "" if _NO_AUTHOR.fullmatch(author) else author,
        "date": iso_date(_first(found, "modified") or _first(found, "created"))[:10],
        "language": _first(found, "language"),
    }
    return "" if _NO_TITLE.fullmatch(title) else title, {key: value for key, value in values.items() if value}


def _first(found: Mapping[str, list[str]], name: str) -> str:
    return next(iter(found.get(name, ())), "")


def _description(match: re.Match[str]) -> str:
    """What a picture's author says of it; nothing where that is just the name that PowerPoint gave it."""
    return "" if re.sub(r"\W", "", match[1]) == match[2] else match[1]


def _tidy(markdown: str) -> str:
    return _BLANK_LINES.sub("\n\n", storable(markdown)).strip()
