"""The arithmetic of fusion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.builtin.retrievers.fusion import (
    combine,
    distribution,
    fill,
    minmax,
    order,
    reciprocal_ranks,
    theoretical,
    zscore,
)

finite = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
rows = st.lists(finite, min_size=1, max_size=30).map(lambda values: np.array(values, dtype=float))


@given(rows)
def test_zscores_have_mean_0_and_deviation_1(row):
    normal = zscore(row)
    assert normal.mean() == pytest.approx(0, abs=1e-6)
    assert normal.std() == pytest.approx(1, abs=1e-6) or np.ptp(row) < 1e-6


@given(rows)
def test_normalising_keeps_the_order(row):
    below = (float(row.min()) - 1, float(row.max()) + 1)
    for normal in (
        zscore(row),
        minmax(row),
        minmax(row, 0.0),
        distribution(row),
        theoretical(row, below),
        reciprocal_ranks(row, 60),
    ):
        best = np.argsort(-row, kind="stable")
        assert (np.diff(normal[best]) <= 1e-9).all()


def test_minmax_with_a_floor():
    assert minmax(np.array([2.0, 4.0])).tolist() == [0, 1]
    assert minmax(np.array([2.0, 4.0]), 0.0).tolist() == [0.5, 1]


def test_what_is_missing_counts_as_the_lowest():
    assert fill(np.array([3.0, np.nan, 1.0])).tolist() == [3, 1, 1]
    assert fill(np.array([np.nan, np.nan])).tolist() == [0, 0]


def test_a_hand_made_fusion():
    dense, keyword = np.array([0.9, 0.5, 0.1]), np.array([0.0, 10.0, 0.0])
    fused = combine([minmax(dense), minmax(keyword, 0.0)], [0.6, 0.4])
    assert fused == pytest.approx([0.6, 0.3 + 0.4, 0.0])


def test_ties_go_to_the_first_leg_then_to_the_id():
    fused = np.array([1.0, 1.0, 2.0, 1.0])
    assert order(fused, [3, 2, 9, 2], ["d", "c", "a", "b"]).tolist() == [2, 3, 1, 0]


@given(rows, st.floats(0, 1))
def test_equal_scores_everywhere_change_nothing(row, alpha):
    fused = combine([zscore(row), zscore(np.full_like(row, 5.0))], [alpha, 1 - alpha])
    assert fused == pytest.approx(alpha * zscore(row))


def test_distribution_is_three_deviations_to_either_side():
    row = np.array([0.0] * 50 + [1.0] * 50)  # mean 0.5, deviation 0.5
    assert distribution(row)[[0, -1]] == pytest.approx([1 / 3, 2 / 3])
    far = np.array([0.0] * 99 + [100.0])
    assert distribution(far).max() == 1.0
    assert distribution(np.full(3, 7.0)).tolist() == [0, 0, 0]


def test_theoretical_bounds_do_not_depend_on_what_was_found():
    assert theoretical(np.array([0.2, 0.9]), (-1.0, 1.0)) == pytest.approx([0.6, 0.95])
    assert theoretical(np.array([3.0]), (0.0, 12.0)) == pytest.approx([0.25])
    assert theoretical(np.array([0.0, 0.0]), (0.0, 0.0)).tolist() == [0, 0]


def test_reciprocal_ranks_share_a_rank_and_give_nothing_at_the_floor():
    assert reciprocal_ranks(np.array([5.0, 9.0, 5.0, 1.0]), 60) == pytest.approx([1 / 62, 1 / 61, 1 / 62, 1 / 64])
    assert reciprocal_ranks(np.array([5.0, 0.0]), 60, 0.0) == pytest.approx([1 / 61, 0.0])
    assert reciprocal_ranks(np.array([]), 60).tolist() == []
