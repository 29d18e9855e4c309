"""The conformance suites find what is wrong with a store, and let no test be replaced without a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import broken_stores
import pytest
from broken_stores import FAILS

from ragkit.testing import plugin
from ragkit.testing.conformance import KeywordStoreSuite, VectorStoreSuite, overrides

pytest_plugins = ["pytester"]

(SOUND,) = plugin.ragkit_vector_stores()
CAUGHT = [(suite, test) for suite, tests in FAILS.items() for test in tests]


def run(pytester: pytest.Pytester, nodes: list[str]) -> dict[str, str]:
    """Run tests of `broken_stores`; the outcome of each, `failed` only where the test itself did."""
    file = Path(broken_stores.__file__)
    reports = pytester.inline_run("-p", "no:cacheprovider", "--import-mode=importlib", *(f"{file}::{node}" for node in nodes))
    outcomes: dict[str, str] = {}
    for report in reports.getreports("pytest_runtest_logreport"):
        if report.when == "call" or report.outcome != "passed":
            outcomes[report.nodeid.partition("::")[2]] = report.outcome if report.when == "call" else f"{report.when} failed"
    return outcomes


def test_each_broken_store_is_caught(pytester: pytest.Pytester) -> None:
    nodes = [f"{suite}::{test}" for suite, test in CAUGHT]
    assert run(pytester, nodes) == dict.fromkeys(nodes, "failed")


def test_the_same_tests_pass_for_a_sound_store(pytester: pytest.Pytester) -> None:
    sound = {VectorStoreSuite: "TestSoundVectors", KeywordStoreSuite: "TestSoundKeywords"}
    nodes = {
        f"{sound[getattr(broken_stores, suite).__base__]}::{test}"
        for suite, test in CAUGHT
        if getattr(getattr(broken_stores, sound[getattr(broken_stores, suite).__base__]), test.partition("[")[0])
        and not any(word in test for word in ("not_claimed", "processes", "kill"))
    }
    assert run(pytester, sorted(nodes)) == dict.fromkeys(nodes, "passed")


def test_a_test_is_not_replaced_without_a_reason() -> None:
    with pytest.raises(TypeError, match=r"Careless replaces test_deletes_by_id of the suite without a reason"):

        class Careless(VectorStoreSuite):
            component = SOUND

            def test_deletes_by_id(self, opener: Any) -> None:
                pass

    with pytest.raises(TypeError, match="Sly replaces test_deletes_by_id"):

        class Sly(VectorStoreSuite):
            component = SOUND
            test_deletes_by_id = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="say why"):
        overrides("  ")


def test_a_test_is_replaced_with_a_reason() -> None:
    class Careful(VectorStoreSuite):
        component = SOUND

        @overrides("this server deletes at night")
        def test_deletes_by_id(self, opener: Any) -> str:
            return "mine"

    assert Careful().test_deletes_by_id(None) == "mine"


def test_what_is_not_claimed_is_not_collected() -> None:
    import dataclasses

    few = {"metrics": ["cosine", "dot", "l2"], "processes": "one", "filters": []}

    class Base(VectorStoreSuite):
        component = dataclasses.replace(SOUND, capabilities=few)

    class More(Base):
        component = SOUND

    claimed = ("test_deletes_by_id", "test_vectors_come_back_by_id", "test_conditions_nest")
    other = ("test_deleting_is_refused_where_it_is_not_claimed", "test_another_process_takes_over")
    assert [name for name in (*claimed, *other) if getattr(Base, name)] == list(other)
    assert [name for name in (*claimed, *other) if getattr(More, name)] == list(claimed)


def test_every_test_says_what_to_mend() -> None:
    tests = [
        test
        for suite in (VectorStoreSuite, KeywordStoreSuite)
        for base in suite.__mro__
        for name, test in vars(base).items()
        if name.startswith("test_")
    ]
    assert len(tests) > 80
    assert [test.__qualname__ for test in tests if len(test.__doc__ or "") < 30] == []
