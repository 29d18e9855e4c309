"""The suite for chunkers finds what is wrong, and passes what is sound."""

from __future__ import annotations

from pathlib import Path

import broken_chunkers
import pytest
from broken_chunkers import FAILS

from ragkit.testing.conformance import ChunkerSuite

pytest_plugins = ["pytester"]


def run(pytester: pytest.Pytester, nodes: list[str]) -> dict[str, str]:
    """Run tests of `broken_chunkers`; the outcome of each, `failed` only where the test itself did."""
    file = Path(broken_chunkers.__file__)
    reports = pytester.inline_run("-p", "no:cacheprovider", "--import-mode=importlib", *(f"{file}::{node}" for node in nodes))
    return {
        report.nodeid.partition("::")[2]: report.outcome if report.when == "call" else f"{report.when} failed"
        for report in reports.getreports("pytest_runtest_logreport")
        if report.when == "call" or report.outcome != "passed"
    }


def test_each_broken_one_is_caught(pytester: pytest.Pytester) -> None:
    nodes = [f"{suite}::{test}" for suite, tests in FAILS.items() for test in tests]
    assert run(pytester, nodes) == dict.fromkeys(nodes, "failed")


def test_sound_ones_pass(pytester: pytest.Pytester) -> None:
    outcomes = run(pytester, ["TestSound", "TestSoundWithReason"])
    assert len(outcomes) > 70
    assert set(outcomes.values()) == {"passed"}


def test_every_test_of_the_suite_catches_something_and_says_what_to_mend() -> None:
    tests = {name: test for name, test in vars(ChunkerSuite).items() if name.startswith("test_")}
    assert [name for name, test in tests.items() if len(test.__doc__ or "") < 30] == []
    assert set(tests) - {test.partition("[")[0] for tests in FAILS.values() for test in tests} == set()


def test_replacing_a_test_takes_a_reason() -> None:
    with pytest.raises(TypeError, match="without a reason"):
        type("Replacing", (ChunkerSuite,), {"test_no_chunk_is_empty": lambda self: None, "__module__": "tests.own"})
