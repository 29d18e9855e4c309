"""Results on standard output: rich on a terminal, plain text in a pipe, or one JSON document. Errors on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ragkit.errors import RagkitError

_CONTROL = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Output:
    """Where a command's result goes. Made before the work begins, so that nothing else can stand in its way."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While the work goes on, whatever a library prints is a log: it goes to standard error."""
        with contextlib.redirect_stdout(sys.stderr):
            yield

    def json(self, document: Any) -> None:
        """Print one JSON document."""
        import json

        self._stream.write(json.dumps(document, ensure_ascii=False, indent=2, default=str) + "\n")
        self._stream.flush()

    def write(self, text: str) -> None:
        """Print a piece of text at once, without a line end; control characters of a document reach no terminal."""
        self._stream.write(printable(text))
        self._stream.flush()

    def line(self, text: str = "") -> None:
        self.write(text + "\n")

    def fields(self, values: Mapping[str, object]) -> None:
        """Print names and values below each other."""
        width = max(map(len, values), default=0)
        for name, value in values.items():
            self.line(f"{name:<{width}}  {value}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table; numbers stand to the right, and a column in which nothing stands is left out."""
        cells = [["" if cell is None else printable(str(cell)).replace("\n", " ") for cell in row] for row in rows]
        used = [at for at in range(len(columns)) if not cells or any(row[at] for row in cells)]
        columns, cells = [columns[at] for at in used], [[row[at] for at in used] for row in cells]
        numeric = [bool(cells) and all(_is_number(row[at]) for row in cells) for at in range(len(columns))]
        if self.is_terminal:
            self._rich_table(columns, cells, numeric)
            return
        widths = [max(len(line[at]) for line in (columns, *cells)) for at in range(len(columns))]
        for line in (columns, *cells):
            columned = zip(line, widths, numeric, strict=True)
            aligned = (cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columned)
            self._stream.write("  ".join(aligned).rstrip() + "\n")

    def _rich_table(self, columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name, right in zip(columns, numeric, strict=True):
            # the last one is what is told in words, so it alone is broken into lines
            table.add_column(name, justify="right" if right else "left", no_wrap=name != columns[-1])
        for row in cells:
            table.add_row(*map(Text, row))
        Console(file=self._stream).print(table)


def printable(text: str) -> str:
    """The text without control characters, which a document could use to drive the terminal."""
    return text.translate(_CONTROL)


def log(text: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(printable(text) + "\n")


def show_error(error: RagkitError) -> None:
    """Show an error that a person can mend: what is wrong, where, and what to do next."""
    log(f"error: {error}" if not hasattr(error, "problems") else str(error))


def size(count: int | None) -> str:
    """A number of bytes for people."""
    if count is None:
        return ""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" or amount >= 100 else f"{amount:.1f} {units[0]}"


def _is_number(cell: str) -> bool:
    return cell == "" or cell.replace(".", "", 1).replace("-", "", 1).isdigit()
