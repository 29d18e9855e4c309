"""Maximal marginal relevance: what it picks, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.builtin.diversity import mmr, picks

SCORES = st.floats(-100, 100)
VECTORS = st.lists(st.floats(-1, 1), min_size=3, max_size=3)


@st.composite
def candidates(draw):
    """Ids, scores, and vectors for some of the ids."""
    scores = draw(st.lists(SCORES, min_size=1, max_size=12))
    ids = [f"c{number}" for number in range(len(scores))]
    vectors = draw(st.dictionaries(st.sampled_from(ids), VECTORS))
    return ids, scores, vectors


def plain(ids, scores, vectors, diversity):
    """The definition, written down without arrays."""
    low, high = min(scores), max(scores)
    relevance = [(score - low) / (high - low) if high - low > 1e-12 else 1.0 for score in scores]

    def cosine(one, other):
        a, b = (np.asarray(vectors.get(name, [0.0] * 3)) for name in (one, other))
        return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)

    taken: list[int] = []
    values: list[float] = []
    while len(taken) < len(ids):
        worth = {
            place: (1 - diversity) * relevance[place]
            - diversity * max([0.0, *(cosine(ids[place], ids[other]) for other in taken)])
            for place in range(len(ids))
            if place not in taken
        }
        best = max(worth, key=lambda place: worth[place])
        taken.append(best)
        values.append(worth[best])
    return taken, values


@given(candidates(), st.floats(0, 1), st.integers(0, 15))
def test_it_picks_k_different_ones_and_more_only_adds(given_, diversity, k):
    ids, scores, vectors = given_
    picked = mmr(ids, scores, vectors, diversity, k)
    assert len(picked) == min(k, len(ids))
    everything = mmr(ids, scores, vectors, diversity, len(ids))
    assert sorted(everything) == sorted(ids)
    assert picked == everything[:k]


@given(candidates(), st.integers(0, 15))
def test_without_diversity_it_is_the_order_of_the_scores(given_, k):
    ids, scores, vectors = given_
    whole = [round(score) for score in scores]
    by_score = sorted(range(len(ids)), key=lambda place: -whole[place])
    assert mmr(ids, whole, vectors, 0.0, k) == [ids[place] for place in by_score][:k]


@given(candidates(), st.floats(0, 1))
def test_the_marginal_relevance_never_rises(given_, diversity):
    ids, scores, vectors = given_
    values = [value for _, value in picks(ids, scores, vectors, diversity, len(ids))]
    assert values == sorted(values, reverse=True)
    assert all(-1 - 1e-9 <= value <= 1 for value in values)


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
def test_it_is_the_formula(diversity):
    random = np.random.default_rng(7)
    ids = [f"c{number}" for number in range(25)]
    scores = random.normal(size=25).tolist()
    vectors = {name: random.normal(size=3).tolist() for name in ids[:-3]}
    places, values = plain(ids, scores, vectors, diversity)
    picked = picks(ids, scores, vectors, diversity, 25)
    assert [place for place, _ in picked] == places
    assert [value for _, value in picked] == pytest.approx(values)


def test_a_double_waits_behind_what_is_new():
    vectors = {"first": [1.0, 0.0], "double": [2.0, 0.0], "other": [0.0, 1.0]}
    assert mmr(["first", "double", "other"], [1.0, 0.9, 0.5], vectors, 0.5, 3) == ["first", "other", "double"]
    assert mmr(["first", "double", "other"], [1.0, 0.9, 0.5], vectors, 0.1, 3) == ["first", "double", "other"]


@pytest.mark.parametrize("strange", [None, [float("nan"), 1.0], [1e200, 1e200], [0.0, 0.0]])
def test_an_id_without_a_usable_vector_is_like_no_other(strange):
    vectors = {"first": [1.0, 1.0], "double": [1.0, 1.0]}
    if strange is not None:
        vectors["strange"] = strange
    picked = picks(["first", "double", "strange"], [1.0, 0.9, 0.0], vectors, 0.6, 3)
    assert [place for place, _ in picked] == [0, 2, 1]
    assert [value for _, value in picked] == pytest.approx([0.4, 0.0, 0.4 * 0.9 - 0.6])


def test_ties_go_to_the_earlier():
    assert mmr(["b", "a", "c"], [1.0, 1.0, 1.0], {}, 0.5, 3) == ["b", "a", "c"]
    assert mmr([], [], {}, 0.5, 3) == []


def test_the_same_id_twice_has_two_places():
    assert [place for place, _ in picks(["a", "a"], [1.0, 0.5], {"a": [1.0]}, 0.5, 2)] == [0, 1]
