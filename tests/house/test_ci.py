"""CI skips nothing that its machine could run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

TESTS = """
import pytest

def test_runs():
    pass

def test_is_skipped():
    pytest.skip({reason!r})
"""


def outcome(folder: Path, source: str, ci: str, *options: str) -> tuple[int, str]:
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_it.py").write_text(source, encoding="utf-8")
    call = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)]
    environment = {**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # tests/conftest.py needs no plugin
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_skip_fails_in_ci(tmp_path: Path) -> None:
    status, out = outcome(tmp_path, TESTS.format(reason="no time today"), "true")
    assert status == 1
    assert "no time today" in out
    assert "1 failed, 1 passed" in out


def test_a_skip_passes_elsewhere(tmp_path: Path) -> None:
    assert outcome(tmp_path, TESTS.format(reason="no time today"), "")[0] == 0


def test_what_ci_cannot_have_may_be_skipped(tmp_path: Path) -> None:
    status, out = outcome(tmp_path, TESTS.format(reason="evaluation data: /x is not there; …"), "true")
    assert status == 0
    assert "1 passed, 1 skipped" in out


def test_a_module_that_is_skipped_fails_in_ci(tmp_path: Path) -> None:
    source = "import pytest\npytest.importorskip('a_module_that_nobody_has')\n"
    assert outcome(tmp_path, source, "")[0] == 5
    assert outcome(tmp_path, source, "true")[0] in {1, 2}


GROUPED = """
import os, pathlib, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    pathlib.Path(__file__).with_name(os.environ["PYTEST_XDIST_WORKER"]).touch()
"""


def test_a_group_runs_in_one_worker(tmp_path: Path) -> None:
    status, out = outcome(tmp_path, GROUPED, "", "-p", "xdist", "-n", "2", "--dist=loadgroup")
    assert status == 0, out
    assert len(list(tmp_path.glob("gw*"))) == 1


@pytest.mark.parametrize("name", ["setup", "demo", "test", "lint", "format", "types", "docs", "clean", "constraints"])
def test_the_make_targets_are_there(name: str) -> None:
    done = subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert script.rstrip().endswith("make test")
    assert "\nmake test " in (ROOT / "README.md").read_text(encoding="utf-8")
