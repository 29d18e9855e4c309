"""Intervals cover what they should, and the test tells apart what differs."""

from __future__ import annotations

import numpy as np
import pytest

from ragkit.evaluate.significance import RESAMPLES, interval, p_value


def test_intervals_have_the_width_that_theory_says() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    found = interval(values)
    assert found is not None
    half = 1.96 * values.std() / 20
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert interval(values) == found


def test_intervals_cover_the_mean_about_95_times_in_100() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(100):
        bounds = interval(generator.random(40))
        assert bounds is not None
        covered += bounds[0] <= 0.5 <= bounds[1]
    assert 88 <= covered <= 100


def test_too_few_values_have_none() -> None:
    assert interval(np.array([0.3])) is None
    assert p_value(np.array([0.3])) is None
    assert interval(np.array([0.3, 0.3])) == (0.3, 0.3)


def test_the_test_is_exact_where_it_can_be_counted() -> None:
    # all 2^6 signs: the observed sum and its mirror image are the extreme ones
    assert p_value(np.full(6, 0.5)) == pytest.approx(2 / 64, abs=0.01)
    assert p_value(np.zeros(50)) == 1.0
    assert p_value(np.array([0.3, -0.3, 0.1, -0.1])) == 1.0


def test_what_differs_is_told_apart() -> None:
    generator = np.random.default_rng(3)
    assert p_value(generator.normal(0.05, 0.1, 300)) == pytest.approx(1 / (RESAMPLES + 1))
    alike = [p_value(generator.normal(0, 0.1, 100)) or 0 for _ in range(60)]
    assert sum(p < 0.05 for p in alike) <= 9
    assert min(alike) > 0


def test_many_queries_fit_in_memory() -> None:
    values = np.random.default_rng(4).normal(0.001, 0.1, 30_000)
    p, bounds = p_value(values), interval(values)
    assert p is not None
    assert bounds is not None
    assert (p < 0.05) == (bounds[0] > 0)
