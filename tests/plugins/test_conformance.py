"""Every store of this repository is what its capabilities say."""

from __future__ import annotations

import ragkit_bm25
import ragkit_chroma
from ragkit.testing import plugin
from ragkit.testing.conformance import KeywordStoreSuite, VectorStoreSuite


class TestChroma(VectorStoreSuite):
    component = ragkit_chroma.ragkit_vector_stores()[0]


class TestMemoryVectors(VectorStoreSuite):
    component = plugin.ragkit_vector_stores()[0]


class TestBM25(KeywordStoreSuite):
    component = ragkit_bm25.ragkit_keyword_stores()[0]


class TestMemoryKeywords(KeywordStoreSuite):
    component = plugin.ragkit_keyword_stores()[0]
