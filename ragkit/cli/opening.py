"""From the arguments to a host, a configuration, a pipeline."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragkit.cli.render import Output
    from ragkit.config import Config
    from ragkit.host import Host
    from ragkit.pipeline import Pipeline


def open_host() -> Host:
    """The host with everything that is installed."""
    from ragkit.host import Host

    return Host()


def open_config(file: Path, overrides: Sequence[str] | None) -> Config:
    """The validated configuration."""
    from ragkit.config import load

    return load(file, open_host(), overrides=overrides or ())


@contextmanager
def open_pipeline(file: Path, overrides: Sequence[str] | None, output: Output) -> Iterator[Pipeline]:
    """The pipeline of the configuration, closed at the end; what libraries print meanwhile goes to standard error."""
    config = open_config(file, overrides)
    with output.working():
        from ragkit.pipeline import Pipeline

        with Pipeline(config) as pipeline:
            yield pipeline


def read_question(question: str) -> str:
    """The question itself, or standard input for `-`."""
    return sys.stdin.read() if question == "-" else question
