"""The built-in retrievers under their conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from scripted import ScriptedLLM

from ragkit.builtin import passages, questions, retrievers
from ragkit.components import Component, Kind, Spec
from ragkit.testing.conformance import RetrieverSuite

OFFERED: dict[str, Component] = {
    component.name: component for module in (retrievers, passages, questions) for component in module.ragkit_retrievers()
}


def spec(name: str, **options: Any) -> Spec:
    """A nested retriever."""
    return Spec(Kind.RETRIEVER, OFFERED[name], OFFERED[name].options.model_validate(options), name)


class TestDense(RetrieverSuite):
    component = OFFERED["dense"]


class TestKeyword(RetrieverSuite):
    component = OFFERED["keyword"]


class TestHybrid(RetrieverSuite):
    component = OFFERED["hybrid"]


class TestReciprocalRanks(RetrieverSuite):
    component = OFFERED["hybrid"]

    sample_options: ClassVar[Mapping[str, Any]] = {"fusion": "rrf", "legs": [spec("keyword"), spec("mmr")]}


class TestMmr(RetrieverSuite):
    component = OFFERED["mmr"]


class TestSentenceWindow(RetrieverSuite):
    component = OFFERED["sentence_window"]


class TestAutoMerging(RetrieverSuite):
    component = OFFERED["auto_merging"]


class TestAutoMergingOfWindows(RetrieverSuite):
    component = OFFERED["auto_merging"]

    sample_options: ClassVar[Mapping[str, Any]] = {"retriever": spec("sentence_window")}


class TestMultiQuery(RetrieverSuite):
    component = OFFERED["multi_query"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM("1. days off for staff\n2. holidays with pay\n3. absence")


class TestHyde(RetrieverSuite):
    component = OFFERED["hyde"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM("Employees have twenty eight days of paid leave.")


class TestDecompose(RetrieverSuite):
    component = OFFERED["decompose"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM("1. Who has paid leave?\n2. Who signs the book?")


class TestSelfQuery(RetrieverSuite):
    component = OFFERED["self_query"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM('{"query": "paid leave", "filter": null}')


class TestSelfQueryOfNonsense(RetrieverSuite):
    component = OFFERED["self_query"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM("As a language model I would rather not.")

    sample_options: ClassVar[Mapping[str, Any]] = {"retriever": spec("multi_query", retriever=spec("dense"))}


class TestRouter(RetrieverSuite):
    component = OFFERED["router"]

    sample_options: ClassVar[Mapping[str, Any]] = {
        "routes": [
            {"pattern": "(?i)who", "retriever": spec("keyword")},
            {"pattern": "new", "retriever": spec("sentence_window")},
        ]
    }
