"""Distributions with plugins, made on the spot and found through their entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("ragkit-x", "1.0", x="code of the module")`: a distribution with one entry point and module for each."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def installed(distribution: str, version: str, **modules: str) -> None:
        metadata = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        points = "".join(f"{name} = ragkit_test_{name}\n" for name in modules)
        (metadata / "entry_points.txt").write_text(f"[ragkit]\n{points}")
        for name, code in modules.items():
            (tmp_path / f"ragkit_test_{name}.py").write_text(code)
            made.append(f"ragkit_test_{name}")

    yield installed
    for name in made:
        sys.modules.pop(name, None)
