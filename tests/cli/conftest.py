"""The command line as a person uses it: arguments in; exit status, standard output and standard error out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ragkit.cli import main
from ragkit.host import Host
from ragkit.testing import plugin


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which holds one JSON document and nothing else."""
        return json.loads(self.out)


Ragkit = Callable[..., Done]


@pytest.fixture
def ragkit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ragkit:
    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ragkit", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return Done(int(exit_.value.code or 0), captured.out, captured.err)

    return run


CONFIG = """
name: handbook
sources: [{use: files, name: pages, path: pages, include: ["**/*.md"]}]
embedding: fake
vector_store: memory
keyword_store: memory
top_k: 3
"""

PAGES = {
    "leave.md": "# Leave\n\nEvery employee has 28 days of paid leave in a year. Leave is requested from the team lead.\n",
    "travel.md": "# Travel\n\nTrain tickets are booked in first class. Flights need the consent of the director.\n",
    "office.md": "# Office\n\nThe office is open from seven to nineteen. Visitors sign the book at the entrance.\n",
    "canteen.md": "# Canteen\n\nLunch is served from twelve to two. The soup is always vegetarian.\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and four pages, the fakes of `ragkit.testing` installed, nothing ingested."""

    def open_host() -> Host:
        return Host(plugins=[plugin])

    monkeypatch.setattr("ragkit.cli.opening.open_host", open_host)
    monkeypatch.setattr("ragkit.cli.setup.open_host", open_host)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    (tmp_path / "ragkit.yaml").write_text(CONFIG, encoding="utf-8")
    for name, text in PAGES.items():
        (tmp_path / "pages" / name).write_text(text, encoding="utf-8")
    return tmp_path
