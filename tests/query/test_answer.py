"""Answers: quotes that stand in the documents, abstention, streams."""

from __future__ import annotations

import json
import re

import pytest
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import ValidationError

from ragkit.builtin.answerers import ExtractiveOptions, LLMOptions, build_extractive, build_llm
from ragkit.builtin.retrievers import HybridOptions, build_dense, build_hybrid, build_keyword
from ragkit.errors import ComponentError
from ragkit.query.answer import NOT_ANSWERED, Answer, Answerer
from ragkit.query.search import Searcher


def answerer(index, synthesizer=None, retriever=None, *, embedding=True, terms=True, **options):
    retriever = retriever or build_hybrid(HybridOptions(), index)
    return Answerer(
        Searcher(index.reader, retriever, (), index.top_k),
        synthesizer or build_extractive(ExtractiveOptions(**options), index),
        index.reader,
        index.term_weights if terms else None,
        index.embedding if embedding else None,
    )


def check_citations(index, answer):
    assert answer.citations
    for citation in answer.citations:
        document = index.reader.document(citation.document_id)
        assert document.text[citation.start : citation.end] == citation.quote
        assert document.uri == citation.uri
        assert f"[{citation.n}]" in answer.text
    assert sorted(int(n) for n in re.findall(r"\[(\d+)\]", answer.text)) == [citation.n for citation in answer.citations]


def test_an_answer_quotes_its_documents(index):
    answer = answerer(index).ask("What does the ledger hold?")
    assert not answer.abstained
    assert answer.text.startswith("The ledger holds documents and chunks. [1]")
    check_citations(index, answer)


def test_the_dictionary_is_the_documented_json(index):
    told = answerer(index).ask("What does the ledger hold?").to_dict()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"query", "hits", "trace", "answer", "abstained", "uncited", "citations"}
    assert set(told["citations"][0]) == {"n", "chunk_id", "document_id", "uri", "quote", "start", "end"}
    assert [stage["name"] for stage in told["trace"]["stages"]][-2:] == ["abstention", "answer"]


@pytest.mark.parametrize("retriever", [build_dense, build_keyword])
def test_every_retriever_has_enough_to_decide_on(index, retriever):
    able = answerer(index, retriever=retriever(None, index))
    assert not able.ask("The ledger holds documents and chunks?").abstained
    assert able.ask("Does aspirin reduce zebra mortality?").abstained


@pytest.mark.parametrize(("embedding", "terms"), [(True, False), (False, True)])
def test_what_is_there_decides(index, embedding, terms):
    able = answerer(index, embedding=embedding, terms=terms)
    assert not able.ask("The ledger holds documents and chunks?").abstained
    assert able.ask("aspirin reduces zebra mortality").abstained


def test_an_abstention_says_so(index):
    answer = answerer(index).ask("Does aspirin reduce zebra mortality?")
    assert (answer.text, answer.citations, answer.abstained) == (NOT_ANSWERED, (), True)
    assert len(answer.hits) == 5
    stages = {stage.name: stage for stage in answer.trace.stages}
    assert "confidence 0.0" in stages["abstention"].detail
    assert stages["answer"].status == "skipped"


def test_abstention_can_be_switched_off(index):
    answer = answerer(index, abstain_below=0).ask("Does aspirin reduce zebra mortality?")
    assert not answer.abstained
    check_citations(index, answer)


def test_no_hits_no_answer(index):
    index.reader.deleted.update(index.reader.records)
    answer = answerer(index).ask("What does the ledger hold?")
    assert answer.abstained
    assert answer.hits == ()


def test_max_sentences(index):
    answer = answerer(index, max_sentences=1).ask("What does the ledger hold and how does the cache keep vectors?")
    assert len(answer.citations) == 1


def test_repetitions_are_quoted_once(make_index):
    index = make_index(["The ledger holds all documents. Nothing else does."] * 4 + ["Another page about the weather."] * 2)
    answer = answerer(index).ask("What holds the ledger documents?")
    assert [citation.quote for citation in answer.citations].count("The ledger holds all documents.") == 1


def test_a_quote_that_is_not_in_its_document_is_dropped(index):
    for key, document in index.reader.pages.items():
        index.reader.pages[key] = type(document)(document.key, key, "docs", document.uri, "rewritten meanwhile")
    answer = answerer(index).ask("What does the ledger hold?")
    assert answer.citations == ()
    assert "[" not in answer.text
    assert "is not in its document as quoted" in answer.trace.stages[-1].detail


def test_chunks_without_offsets_are_found_in_their_document(index):
    from dataclasses import replace

    for key, record in index.reader.records.items():
        index.reader.records[key] = replace(record, start=None, end=None)
    check_citations(index, answerer(index).ask("What does the ledger hold?"))


async def test_asynchronous_twins(index):
    able = answerer(index)
    expected = able.ask("What does the ledger hold?")
    assert (await able.aask("What does the ledger hold?")).text == expected.text
    pieces = [piece async for piece in able.astream("What does the ledger hold?")]
    assert isinstance(pieces[-1], Answer)
    assert "".join(pieces[:-1]) == pieces[-1].text == expected.text
    assert len(pieces) > 5


def test_it_works_in_a_plain_llamaindex_engine(index):
    engine = RetrieverQueryEngine(build_hybrid(HybridOptions(), index), build_extractive(ExtractiveOptions(), index))
    response = engine.query("What does the ledger hold?")
    assert str(response).startswith("The ledger holds documents and chunks. [1]")
    texts = {item.node.node_id: item.node.get_content() for item in response.source_nodes}
    first = response.metadata["citations"][0]
    assert texts[first["node_id"]][first["start"] : first["end"]] == "The ledger holds documents and chunks."


async def test_the_synthesizer_alone(index):
    synthesizer = build_extractive(ExtractiveOptions(), index)
    nodes = [
        NodeWithScore(node=TextNode(text="The ledger holds documents. Cats sleep a lot.", metadata={"title": "T"}), score=1.0)
    ]
    for response in (
        synthesizer.synthesize("ledger documents?", nodes),
        await synthesizer.asynthesize("ledger documents?", nodes),
    ):
        assert str(response) == "The ledger holds documents. [1]"
    assert synthesizer.get_response("ledger?", ["The ledger holds documents."]) == "The ledger holds documents. [1]"
    assert str(synthesizer.synthesize("ledger?", [])) == NOT_ANSWERED


class Says(CustomLLM):
    """An LLM that says one thing."""

    words: str = ""

    @property
    def metadata(self):
        return LLMMetadata()

    def complete(self, prompt, formatted=False, **kwargs):
        assert "[1] " in prompt
        return CompletionResponse(text=self.words)

    def stream_complete(self, prompt, formatted=False, **kwargs):
        assert "[1] " in prompt
        return (CompletionResponse(text=self.words[: end + 1], delta=piece) for end, piece in enumerate(self.words))


def test_an_llm_answer_cites_what_it_was_given(index):
    index.llm = Says(words="It holds documents [1]. Also chunks [1, 99]. Nonsense [77].")
    able = answerer(index, build_llm(LLMOptions(), index))
    answer = able.ask("What does the ledger hold?")
    assert answer.text == "It holds documents [1]. Also chunks [1]. Nonsense."
    (citation,) = answer.citations
    assert citation.quote == "The ledger holds documents and chunks."
    document = index.reader.document(citation.document_id)
    assert document.text[citation.start : citation.end] == citation.quote


def test_passages_say_where_they_come_from(make_index):
    about = {"author": "Ada\nB", "platform": "birds", "date": "2024-05-01", "likes": 3}
    prompts = []

    class Listens(Says):
        def complete(self, prompt, formatted=False, **kwargs):
            prompts.append(prompt)
            return CompletionResponse(text="Yes [1].")

    index = make_index(["The ledger holds documents and chunks."], [about])
    index.llm = Listens()
    own = "Read {passages} and {json}. Then: {question}"
    for prompt, told in ((None, "The passages are quotations"), (own, "and {json}. Then: What does the ledger hold?")):
        answerer(index, build_llm(LLMOptions(prompt=prompt), index)).ask("What does the ledger hold?")
        assert "[1] (Page 0; Ada B; birds; 2024-05-01)\nThe ledger holds" in prompts[-1]
        assert told in prompts[-1]
        assert "likes" not in prompts[-1]


@pytest.mark.parametrize("prompt", ["", "{passages}", "{question} {passages} {passages}", "{question} {context}"])
def test_a_prompt_without_its_places_is_refused(prompt):
    with pytest.raises(ValidationError, match=r"must have \{passages\} and \{question\} in it, once each"):
        LLMOptions(prompt=prompt)


def test_an_answer_that_cites_nothing_says_so(index):
    index.llm = Says(words="It holds this and that [9].")
    answer = answerer(index, build_llm(LLMOptions(), index)).ask("What does the ledger hold?")
    assert (answer.text, answer.uncited) == ("It holds this and that.", True)
    assert answerer(index, build_extractive(ExtractiveOptions(), index)).ask("What does the ledger hold?").uncited is False


def test_an_llm_answer_is_streamed(index):
    index.llm = Says(words="It holds documents [1]. Nonsense [77].")
    *pieces, answer = answerer(index, build_llm(LLMOptions(), index)).stream("What does the ledger hold?")
    assert len(pieces) > 10
    assert "".join(pieces) == index.llm.words
    assert isinstance(answer, Answer)
    assert answer.text == "It holds documents [1]. Nonsense."
    assert [citation.n for citation in answer.citations] == [1]


def test_an_llm_that_fails_is_named(index):
    class Fails(Says):
        def complete(self, prompt, formatted=False, **kwargs):
            raise ConnectionError("no route")

    index.llm = Fails()
    with pytest.raises(ComponentError, match=r"the language model did not answer: ConnectionError: no route"):
        answerer(index, build_llm(LLMOptions(), index)).ask("What does the ledger hold?")


def test_the_llm_answerer_needs_an_llm(index):
    with pytest.raises(ComponentError, match="none is configured"):
        build_llm(LLMOptions(), index)


def test_a_synthesizer_without_citations_still_answers(index):
    class Plain(BaseSynthesizer):
        def get_response(self, query_str, text_chunks, **kwargs):
            return "So it is."

        async def aget_response(self, query_str, text_chunks, **kwargs):
            return "So it is."

        def _get_prompts(self):
            return {}

        def _update_prompts(self, prompts):
            pass

    answer = answerer(index, Plain(llm=MockLLM())).ask("What does the ledger hold?")
    assert (answer.text, answer.citations) == ("So it is.", ())
    assert "cites nothing" in answer.trace.stages[-1].detail
