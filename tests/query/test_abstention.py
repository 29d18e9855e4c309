"""When there is no answer: the decision, and the scale on which cosines are read."""

from __future__ import annotations

import numpy as np
import pytest

from ragkit.query.abstention import Evidence, abstains, confidence, coverage, weigh
from ragkit.query.yardstick import PAIRS, Scale, Yardstick, measure


@pytest.mark.parametrize(
    ("similarity", "share", "expected"),
    [
        (0.1, 0.1, True),  # nothing fits
        (0.9, 0.8, False),  # both fit
        (0.9, 0.1, False),  # other words, same meaning
        (0.1, 0.9, True),  # the words stand there by chance
        (0.1, None, True),
        (0.9, None, False),
        (None, 0.1, True),
        (None, 0.8, False),
        (None, None, False),
    ],
)
def test_the_decision(similarity, share, expected):
    assert abstains(Evidence(similarity, share)) is expected


@pytest.mark.parametrize("base", [Evidence(0.5, 0.5), Evidence(0.5, None), Evidence(None, 0.4)])
def test_more_evidence_is_more_confidence(base):
    for name in ("similarity", "coverage"):
        value = getattr(base, name)
        if value is not None:
            more = Evidence(**{**vars(base), name: value + 0.1})
            assert confidence(more) > confidence(base)


def test_the_limits_can_be_set():
    assert not abstains(Evidence(0.0, 0.0), below=0)
    assert abstains(Evidence(0.8, 0.5), below=1)


def test_coverage_weighs_rare_terms_more(index):
    terms = index.term_weights
    wanted = weigh(terms.terms("which fox reads the document"), terms)
    assert wanted["reads"] > wanted["document"]
    assert coverage(wanted, ["fox", "reads", "document"]) == pytest.approx(1)
    assert coverage(wanted, ["reads"]) > coverage(wanted, ["document"])
    assert coverage({}, ["reads"]) is None


def test_the_scale_of_a_model_whose_cosines_lie_close_together():
    class Narrow:
        """All vectors share a large part, as those of many contrastive models do."""

        def _vector(self, number):
            vector = np.zeros(len(PAIRS) + 1)
            vector[0], vector[1 + number] = 2.0, 1.0
            return vector.tolist()

        def get_query_embedding(self, text):
            return self._vector([question for question, _ in PAIRS].index(text))

        def get_text_embedding_batch(self, texts):
            return [self._vector(number) for number in range(len(texts))]

    scale = measure(Narrow())
    assert scale.low == pytest.approx(0.8)
    assert scale.high == pytest.approx(1.0)
    assert scale.read(0.9) == pytest.approx(0.5)


def test_a_model_that_tells_nothing_apart_is_not_used():
    assert not Scale(0.9, 0.95).usable
    assert Scale(0.1, 0.7).usable


def test_a_model_is_measured_once(index):
    yardstick = Yardstick(index.embedding)
    assert yardstick.scale() is yardstick.scale()
    assert len(index.embedding.asked) == len(PAIRS)
