"""Every example runs, and needs no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import Scripts

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.xdist_group("scripts")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, scripts: Scripts, tmp_path: Path) -> None:
    done = scripts.run(example, tmp_path)
    assert done.status == 0, done.err
    assert done.out.strip()


def test_the_three_are_there() -> None:
    assert {"python_quickstart", "plugin_in_one_file", "llamaindex_agent"} <= {path.stem for path in EXAMPLES}
