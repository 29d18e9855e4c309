"""Character ranges: quotes are found, overlaps are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.evaluate.spans import locate, merge, overlap

RANGE = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
RANGES = st.lists(st.tuples(st.sampled_from("ab"), RANGE), min_size=1, max_size=8)


@given(RANGES, RANGES)
def test_overlaps_are_those_of_sets_of_characters(retrieved: list, relevant: list) -> None:
    wanted: dict[str, list[tuple[int, int]]] = {}
    for document, place in relevant:
        wanted.setdefault(document, []).append(place)
    right = {(document, at) for document, (start, end) in relevant for at in range(start, end)}
    taken = [(document, at) for document, (start, end) in retrieved for at in range(start, end)]
    both = len(right & set(taken))
    found = overlap(retrieved, wanted)
    assert found.recall == pytest.approx(both / len(right))
    assert found.precision == pytest.approx(both / len(taken))
    assert found.iou == pytest.approx(both / (len(taken) + len(right) - both))


def test_nothing_retrieved() -> None:
    found = overlap([], {"a": [(0, 5)]})
    assert (found.recall, found.precision, found.iou) == (0, 0, 0)


def test_merging() -> None:
    assert merge([(5, 9), (0, 2), (2, 3), (8, 12)]) == [(0, 3), (5, 12)]


def test_quotes_are_found_however_white_space_is_written() -> None:
    text = "One two.\nThree\n\n  four. One two."
    assert locate(text, "One two.") == (0, 8)
    assert locate(text, "One two.", near=20) == (24, 32)
    assert locate(text, "Three four.") == (9, 23)
    assert locate(text, "five") is None
