"""What is printed: plain in a pipe, rich on a terminal, and nothing in which a document drives the terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ragkit.cli.render import Output, printable, show_error, size
from ragkit.errors import ConfigError, Problem, StateError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROWS = [("chroma", 12), ("bm25", 345)]


def test_a_table_in_a_pipe_is_plain_and_aligned() -> None:
    stream = io.StringIO()
    Output(stream).table(("store", "chunks"), ROWS)
    assert stream.getvalue() == "store   chunks\nchroma      12\nbm25       345\n"


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    stream = io.StringIO()
    Output(stream).table(("a", "b", "c"), [("x", "", None), ("y", "z", "")])
    assert stream.getvalue() == "a  b\nx\ny  z\n"


def test_a_table_on_a_terminal_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    Output(stream).table(("store", "chunks"), ROWS)
    assert "─" in stream.getvalue()
    assert "chroma" in stream.getvalue()


def test_markup_of_a_document_is_shown_as_it_is() -> None:
    stream = Terminal()
    Output(stream).table(("text",), [("[bold red]no[/bold red]",)])
    assert "[bold red]no[/bold red]" in stream.getvalue()


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\r\x9bc\n\td") == "a�[2Jb���c\n\td"


def test_json_is_one_document() -> None:
    stream = io.StringIO()
    Output(stream).json({"text": "naïve", "at": None})
    assert json.loads(stream.getvalue()) == {"text": "naïve", "at": None}
    assert "naïve" in stream.getvalue()


def test_what_libraries_print_while_it_works_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    with output.working():
        sys.stdout.write("a library says hello\n")
        output.line("the result")
    captured = capsys.readouterr()
    assert captured.out == "the result\n"
    assert captured.err == "a library says hello\n"


def test_an_error_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(StateError("the state is gone", cure="ragkit ingest"))
    assert capsys.readouterr().err == "error: the state is gone\n  → ragkit ingest\n"


def test_problems_stand_as_editors_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(ConfigError([Problem("top_k", "has to be 1 or more", "ragkit.yaml", 3, 8), Problem("a", "b")]))
    assert capsys.readouterr().err == "ragkit.yaml:3:8: top_k: has to be 1 or more\na: b\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300 << 20, "300 MiB"), (5 << 40, "5120 GiB")],
)
def test_sizes_are_for_people(count: int | None, text: str) -> None:
    assert size(count) == text
