"""The suites for retrievers and rerankers find what is wrong, and pass what is sound."""

from __future__ import annotations

from pathlib import Path

import broken_asked
import pytest
from broken_asked import FAILS

from ragkit.testing.conformance import RerankerSuite, RetrieverSuite

pytest_plugins = ["pytester"]


def run(pytester: pytest.Pytester, nodes: list[str]) -> dict[str, str]:
    """Run tests of `broken_asked`; the outcome of each, `failed` only where the test itself did."""
    file = Path(broken_asked.__file__)
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
    outcomes = run(pytester, ["TestSoundRetriever", "TestSoundReranker", "TestHonestlyDeaf"])
    assert len(outcomes) > 60
    assert set(outcomes.values()) == {"passed"}
    assert not any("TestHonestlyDeaf::test_filters_are_heeded" in node for node in outcomes)


def test_every_test_of_the_suites_catches_something_and_says_what_to_mend() -> None:
    tests = {
        name: test for suite in (RetrieverSuite, RerankerSuite) for name, test in vars(suite).items() if name.startswith("test_")
    }
    assert [name for name, test in tests.items() if len(test.__doc__ or "") < 30] == []
    assert set(tests) - {test.partition("[")[0] for tests in FAILS.values() for test in tests} == set()
