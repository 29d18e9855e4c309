"""How much the dense leg weighs: configured, read off the question, moved by what the keyword leg found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ragkit.builtin.retrievers import HybridOptions, build_hybrid
from ragkit.builtin.retrievers.weighing import DEFAULT_ALPHA, Weight, by_peak, from_question, peak
from ragkit.errors import QueryError
from ragkit.query.run import QueryRun, Question
from ragkit.query.trace import Recorder


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("found", [0.0, 3.0, 20.0])
def test_a_leg_that_was_excluded_stays_excluded(alpha: float, found: float) -> None:
    assert by_peak(Weight(alpha), found, "keyword").alpha == alpha


def test_the_further_the_best_keyword_hit_stands_out_the_more_it_weighs() -> None:
    alphas = [by_peak(Weight(0.6), found, "keyword").alpha for found in (0.5, 2.5, 3.64, 4.0, 9.0, 50.0)]
    assert alphas == sorted(alphas, reverse=True)
    assert alphas[0] == pytest.approx(1.0)
    assert alphas[2] == pytest.approx(0.6)
    assert alphas[-1] == pytest.approx(0.4)


def test_the_weight_stays_between_0_and_1_and_in_order() -> None:
    for found in (0.0, 3.0, 4.0, 30.0):
        alphas = [by_peak(Weight(alpha / 20), found, "keyword").alpha for alpha in range(21)]
        assert all(0 <= alpha <= 1 for alpha in alphas)
        assert alphas == sorted(alphas), "a larger alpha never weighs dense less"


def test_what_moved_it_is_told() -> None:
    assert by_peak(Weight(0.6), 7.25, "words").reasons == ("the best hit of words stands out by 7.2 standard deviations",)


@pytest.mark.parametrize(
    ("question", "moved", "why"),
    [
        ('what does "strict mode" mean', -0.2, "quoted"),
        ("where is validate_email defined", -0.1, "validate_email"),
        ("changes in v1.2.3", -0.1, "v1.2.3"),
        ("RFC 2616 caching", -0.1, "RFC 2616"),
        ("does HTTPServer.listen() block", -0.1, "name"),
        ("parseHTML fails", -0.1, "parseHTML"),
        ("why is the sky blue", 0.05, "open question"),
        ("How do I renew it?", 0.05, "open question"),
        ("renew the licence", 0.0, ""),
        ("Was kostet das?", 0.0, ""),
        ("", 0.0, ""),
    ],
)
def test_auto_reads_the_question(question: str, moved: float, why: str) -> None:
    weight = from_question(question)
    assert weight.alpha == pytest.approx(DEFAULT_ALPHA + moved)
    assert why in " ".join(weight.reasons)
    assert bool(weight.reasons) == bool(moved)


def test_a_peak_counts_standard_deviations() -> None:
    assert peak(np.array([3.0, 1.0, 1.0, 1.0, 1.0])) == pytest.approx(2.0)
    assert peak(np.array([2.0, 2.0])) == 0.0
    assert peak(np.array([])) == 0.0


def fused(index: Any, text: str, *, asked_alpha: float | str | None = None, **options: Any) -> Any:
    """The stage `fused` of one question."""
    settings = {} if asked_alpha is None else {"alpha": asked_alpha}
    asked = Question(QueryRun(text, 5, settings=settings, recorder=Recorder(1)))
    build_hybrid(HybridOptions(**options), index).retrieve(asked)
    return next(stage for stage in asked.run.recorder.trace().stages if stage.name == "fused")


@pytest.fixture
def many(make_index: Any) -> Any:
    """150 chunks with the word `common`, one of them with `singular` too."""
    return make_index([f"common text number{number}{' singular' if number == 70 else ''}" for number in range(150)])


def test_a_keyword_hit_that_stands_out_moves_the_weight_and_the_trace_tells(many: Any) -> None:
    detail = fused(many, "common singular", depth=150).detail
    assert detail.startswith("alpha 0.40: the best hit of keyword stands out by ")
    detail = fused(many, "common", depth=150).detail
    assert detail.startswith("alpha 1.00: "), "BM25 cannot tell them apart"


@pytest.mark.parametrize("given", [{"adaptive": False}, {"asked_alpha": 0.6}, {"depth": 20}])
def test_the_weight_stays_where_it_was_set(many: Any, given: dict[str, Any]) -> None:
    """Switched off, named by the query, or too few candidates to judge by."""
    assert fused(many, "common singular", **{"depth": 150, **given}).detail == ""


def test_auto_is_taken_from_the_configuration_and_from_the_query(many: Any) -> None:
    for given in ({"alpha": "auto"}, {"asked_alpha": "auto"}):
        detail = fused(many, 'common "singular"', depth=20, **given).detail
        assert detail == 'alpha 0.40: "singular" is quoted'


def test_an_alpha_that_is_neither_is_refused(many: Any) -> None:
    for wrong in (1.5, -0.1, "often", True):
        with pytest.raises(QueryError, match="alpha is"):
            fused(many, "common", asked_alpha=wrong)
