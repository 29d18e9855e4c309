"""Tables as text: CSV files and the sheets of a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

_SMALL_ROWS = 20
_DELIMITERS = ",;\t|"
_SAMPLE_CHARS = 20_000
_SAMPLE_ROWS = 20


def table_text(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; the first row with two cells or more is its header, single cells above it are lines of text.

    Up to 20 rows make a Markdown table. A longer one is cut into chunks, where a row is understood only if it names its
    columns itself, so each becomes `- header: value; header: value`.
    """
    filled = (cells for cells in map(_tidy, rows) if any(cells))
    head = list(islice(filled, _SMALL_ROWS + 2))
    if any(_count(cells) > 1 for cells in head):
        while _count(head[0]) == 1 and _count(head[1]) >= 1 and len(head) > 1:
            yield next(cell for cell in head.pop(0) if cell)
            yield ""
    if not head:
        return
    if len(head) <= _SMALL_ROWS + 1:
        yield from _markdown(head)
        return
    header = head[0]
    for cells in chain(head[1:], filled):
        named = zip(chain(header, [""] * len(cells)), cells, strict=False)
        yield "- " + "; ".join(f"{name}: {cell}" if name else cell for name, cell in named if cell)


def read_csv(text: str, delimiter: str = "") -> str:
    """A CSV file as a table; as it is where it cannot be read as one."""
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or delimiter_of(text))
        return "\n".join(table_text(rows))
    except csv.Error:  # such as a quote that is never closed
        return text


def delimiter_of(text: str) -> str:
    """The one that cuts the first lines into most columns, as evenly as any other."""
    sample = text[:_SAMPLE_CHARS]
    best, delimiter = (0, 0), ","
    for candidate in _DELIMITERS:
        try:
            widths = [len(row) for row in islice(csv.reader(io.StringIO(sample), delimiter=candidate), _SAMPLE_ROWS) if row]
        except csv.Error:
            continue
        usual = max(set(widths), key=widths.count, default=0)
        found = (widths.count(usual), usual) if usual > 1 else (0, 0)
        if found > best:
            best, delimiter = found, candidate
    return delimiter


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    used = [column for column in range(max(map(len, rows))) if any(column < len(cells) and cells[column] for cells in rows)]
    for number, cells in enumerate(rows):
        shown = [cells[column].replace("|", "\\|") if column < len(cells) else "" for column in used]
        yield f"| {' | '.join(shown)} |"
        if number == 0:
            yield f"|{' --- |' * len(used)}"


def _tidy(cells: Sequence[str]) -> list[str]:
    return [" ".join(cell.split()) for cell in cells]


def _count(cells: Sequence[str]) -> int:
    return sum(map(bool, cells))
