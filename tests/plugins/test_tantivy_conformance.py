"""The store `tantivy` is what its capabilities say."""

from __future__ import annotations

import ragkit_tantivy
from ragkit.testing.conformance import KeywordStoreSuite


class TestTantivy(KeywordStoreSuite):
    component = ragkit_tantivy.ragkit_keyword_stores()[0]
