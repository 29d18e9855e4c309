"""JSON, JSONL and notebooks as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ragkit.conversion.convert import Content
from ragkit.conversion.decode import storable
from ragkit.conversion.markdown import first_title

_MAX_OUTPUT_CHARS = 1_000
_TICKS = re.compile("`{3,}")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def read_json(text: str) -> Content:
    """Indented, the records of a list apart by blank lines, where chunks are cut best; as it is where it is no JSON."""
    try:
        value = json.loads(text)
        items = value if isinstance(value, list) and any(isinstance(item, dict | list) for item in value) else [value]
        return Content("\n\n".join(map(_indented, items)), "text")
    except (ValueError, RecursionError):
        return Content(text, "text")


def read_jsonl(text: str) -> Content:
    """One record after the other; a line that is no JSON stays as it is."""
    return Content("\n\n".join(read_json(line).text for line in text.split("\n") if line.strip()), "text")


def read_notebook(text: str) -> Content:
    """The cells of a Jupyter notebook: Markdown as it is, code and the text that it printed in fences.

    Of each cell's output the first 1,000 characters are kept, and no pictures.
    """
    try:
        notebook = json.loads(text)
        cells = (
            notebook["cells"] if "cells" in notebook else [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        )
        language = _language(notebook.get("metadata") or {})
        blocks = [block for cell in cells for block in _blocks(cell, language)]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return Content(text, "text")
    markdown = storable("\n\n".join(blocks))
    metadata = {"programming_language": language} if language else {}
    return Content(markdown, "markdown", first_title(markdown), metadata)


def _indented(value: Any) -> str:
    return storable(json.dumps(value, indent=2, ensure_ascii=False))


def _language(metadata: Mapping[str, Any]) -> str:
    name = (metadata.get("language_info") or {}).get("name") or (metadata.get("kernelspec") or {}).get("language") or ""
    return str(name).lower() if re.fullmatch(r"[\w+#-]{1,30}", str(name)) else ""


def _blocks(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell.get("source", cell.get("input"))).strip("\n")
    if cell.get("cell_type") != "code":
        if source.strip():
            yield source
        return
    if source.strip():
        yield _fenced(source, language)
    printed = _ANSI.sub("", "\n".join(_output(output) for output in cell.get("outputs") or ())).strip("\n")
    if printed.strip():
        yield _fenced(printed if len(printed) <= _MAX_OUTPUT_CHARS else printed[:_MAX_OUTPUT_CHARS] + " …", "text")


def _output(output: Mapping[str, Any]) -> str:
    if output.get("output_type") in ("error", "pyerr"):
        return f"{output.get('ename')}: {output.get('evalue')}"
    data = output.get("data") or {}
    return _joined(output.get("text") or data.get("text/plain")).rstrip("\n")


def _joined(lines: Any) -> str:
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")


def _fenced(code: str, language: str) -> str:
    """In a fence that is longer than any within."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in _TICKS.findall(code))])
    return f"{fence}{language}\n{code}\n{fence}"
