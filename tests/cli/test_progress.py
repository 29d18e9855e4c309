"""Progress goes to standard error: lines in a pipe, bars on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from ragkit.cli.progress import Bars, Lines, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_one_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines:
        for done in range(1, 4):
            lines("documents", done, 3, "a.md")
        lines("vector", 7, None)
        lines("vector", 9, None)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "reading documents: 3 of 3\nvector view: 9\n"


def test_a_long_stage_says_where_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()
    monkeypatch.setattr("ragkit.cli.progress._SECONDS_BETWEEN_LINES", 0.0)
    lines("vector", 7, 90)
    assert capsys.readouterr().err == "vector view: 7 of 90\n"


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress() as bars:
        assert isinstance(bars, Bars)
        bars("documents", 1, 2, "[red]x[/red].md")
        bars("documents", 2, 2)
    assert "reading documents" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_a_pipe_gets_no_bars() -> None:
    assert isinstance(progress(), Lines)
