"""The built-in rerankers under their conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from scripted import ScriptedLLM

from ragkit.builtin import rerankers
from ragkit.testing.conformance import RerankerSuite

OFFERED = {component.name: component for component in rerankers.ragkit_rerankers()}


class TestMmr(RerankerSuite):
    component = OFFERED["mmr"]


class TestThreshold(RerankerSuite):
    component = OFFERED["threshold"]

    sample_options: ClassVar[Mapping[str, Any]] = {"relative": 0.5}


class TestRecency(RerankerSuite):
    component = OFFERED["recency"]


class TestLLM(RerankerSuite):
    component = OFFERED["llm"]

    @pytest.fixture
    def llm(self) -> ScriptedLLM:
        return ScriptedLLM("[2] > [1] > [3] > [4] > [5] > [6] > [7] > [8] > [9] > [10] > [11] > [12] > [13] > [14] > [15] > [16]")
