"""Questions: what is refused, and which run a LlamaIndex bundle carries."""

from __future__ import annotations

import pytest
from llama_index.core.schema import QueryBundle

from ragkit.errors import QueryError
from ragkit.query.run import QueryRun, Question, run_of, with_top_k


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), (" \n\t ", "empty"), ("x" * 100_000, "100,000 characters; at most 32,768")],
)
def test_questions_that_cannot_be_asked(text, message):
    with pytest.raises(QueryError, match=message):
        QueryRun(text, 5)


def test_the_longest_question_is_asked():
    assert QueryRun("x" * 32_768, 5).text


@pytest.mark.parametrize("k", [0, -1, 1001, 2.5, True, "5"])
def test_k_that_cannot_be_met(k):
    with pytest.raises(QueryError, match="from 1 to 1,000"):
        QueryRun("why?", k)


def test_a_foreign_bundle_gets_a_run_and_keeps_it():
    bundle = QueryBundle("why?")
    run = run_of(bundle, 7, generation=2)
    assert (run.top_k, run.recorder.generation) == (7, 2)
    assert run_of(bundle, 9) is run


def test_a_foreign_empty_bundle_is_refused():
    with pytest.raises(QueryError):
        run_of(QueryBundle("  "), 5)


def test_another_number_of_hits_shares_trace_and_embedding():
    question = Question(QueryRun("why?", 5), embedding=[1.0])
    more = with_top_k(question, 50)
    assert (more.run.top_k, question.run.top_k) == (50, 5)
    assert more.run.recorder is question.run.recorder
    assert more.embedding == [1.0]


def test_another_number_of_hits_keeps_the_texts_to_embed():
    more = with_top_k(QueryBundle("why?", custom_embedding_strs=["because"]), 50)
    assert (more.custom_embedding_strs, run_of(more, 1).top_k) == (["because"], 50)
