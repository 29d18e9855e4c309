"""Tables on a PDF's page, as far as they can be told from where its words stand.

A PDF knows no tables, only words at places. What stands in columns when the page is laid out with spaces, and whose cells
follow each other row by row in the page's text, is written as a Markdown table; all else stays as it is. So a text in two
columns is never taken for a table, and cells with several lines, or drawn column by column, are not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from pypdf import PageObject

_GAP = re.compile(r"\S {3,}\S")
_MAX_CELL_CHARS = 80
_MAX_WIDTH = 2_000
_SHORT_LINES = re.compile(r"(?:^.{1,80}\n){3}^.{1,80}$", re.MULTILINE)


def with_tables(page: PageObject, text: str) -> str:
    """`text`, which is that of `page`, with its tables in Markdown."""
    if not _SHORT_LINES.search(text):
        return text
    try:
        laid_out = page.extract_text(extraction_mode="layout", layout_mode_space_vertically=False)
    except Exception:  # noqa: BLE001 - a font that this mode cannot measure: it raises whatever it stumbles over
        return text
    for lines in _blocks(laid_out):
        rows = _cells(lines)
        if rows:
            text = _replaced(text, rows)
    return text


def _blocks(laid_out: str) -> Iterator[list[str]]:
    """Runs of lines that each have a wide gap."""
    for has_gap, lines in groupby(laid_out.split("\n"), key=lambda line: len(line) <= _MAX_WIDTH and bool(_GAP.search(line))):
        found = list(lines)
        if has_gap and len(found) > 1:
            yield found


def _cells(lines: Sequence[str]) -> list[list[str]]:
    """The lines cut where all of them have space, two characters wide or more; nothing where that is nowhere."""
    width = max(map(len, lines))
    taken = [any(position < len(line) and line[position] != " " for line in lines) for position in range(width)]
    cuts = [gap.end() for gap in re.finditer(r"(?<=x)  +(?=x)", "".join("x" if busy else " " for busy in taken))]
    edges = [0, *cuts, width]
    rows = [[line[start:end].strip() for start, end in pairwise(edges)] for line in lines]
    longest = max(len(cell) for cells in rows for cell in cells)
    return rows if cuts and longest <= _MAX_CELL_CHARS else []


def _replaced(text: str, rows: Sequence[Sequence[str]]) -> str:
    """`text` with the table in place of its cells, if they stand there row by row and fill whole lines."""
    places = [place for place, character in enumerate(text) if not character.isspace()]
    squeezed = "".join(text[place] for place in places)
    wanted = "".join("".join(cell.split()) for cells in rows for cell in cells)
    at = squeezed.find(wanted)
    if at < 0:
        return text
    start, end = places[at], places[at + len(wanted) - 1] + 1
    if text[:start].rpartition("\n")[2].strip() or text[end:].partition("\n")[0].strip():
        return text
    head, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in rows]
    table = "\n".join([head, f"|{' --- |' * len(rows[0])}", *body])
    return f"{text[:start].rstrip(' ')}{table}{text[end:]}"
