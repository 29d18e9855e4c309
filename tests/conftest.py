"""What all tests share: the evaluation data, a user without privileges, groups, and that CI skips nothing that it could run."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

CI_MAY_SKIP = (
    r"evaluation data: .* is not there",  # the data sets are not part of the project
    r"root may do everything",  # a test of permissions, run as root
)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of labelled collections: $RAGKIT_DATA, else ../shared/data beside the checkout."""
    folder = Path(os.environ.get("RAGKIT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"evaluation data: {folder} is not there; name its folder in RAGKIT_DATA")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="ragkit-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def nobody() -> AbstractContextManager[None]:
    """A context in which this process is a user without privileges."""

    @contextmanager
    def become() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return become()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a test's id end with its group, which is where the scheduler of `--dist=loadgroup` reads it.

    pytest-xdist 3.8 writes it to an attribute that pytest 9.2 has no longer.
    """
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = item._id.parse(f"{item.nodeid}@{group.args[0]}")  # type: ignore[attr-defined]


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where CI could have run the test."""
    if not os.environ.get("CI") or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(re.search(pattern, reason) for pattern in CI_MAY_SKIP):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, which has to run it ({reason}): mend the machine, or tests/conftest.py says why it may"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _refuse_skip(report)
    return report
