"""The arithmetic of fusion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.builtin.retrievers.fusion import fill, fuse, minmax, order, zscore

finite = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
rows = st.lists(finite, min_size=1, max_size=30).map(lambda values: np.array(values, dtype=float))


@given(rows)
def test_zscores_have_mean_0_and_deviation_1(row):
    normal = zscore(row)
    assert normal.mean() == pytest.approx(0, abs=1e-6)
    assert normal.std() == pytest.approx(1, abs=1e-6) or np.ptp(row) < 1e-6


@given(rows)
def test_normalising_keeps_the_order(row):
    for normal in (zscore(row), minmax(row), minmax(row, 0.0)):
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
    fused = fuse([dense, keyword], [0.6, 0.4], "minmax", [None, 0.0])
    assert fused == pytest.approx([0.6, 0.3 + 0.4, 0.0])


def test_ties_go_to_the_first_leg_then_to_the_id():
    fused = np.array([1.0, 1.0, 2.0, 1.0])
    assert order(fused, [3, 2, 9, 2], ["d", "c", "a", "b"]).tolist() == [2, 3, 1, 0]


@given(rows, st.floats(0, 1))
def test_equal_scores_everywhere_change_nothing(row, alpha):
    fused = fuse([row, np.full_like(row, 5.0)], [alpha, 1 - alpha], "zscore", [None, None])
    assert fused == pytest.approx(alpha * zscore(row))
