"""Conformance suites: an author subclasses one, names the component, and inherits its tests.

    from ragkit.testing.conformance import VectorStoreSuite

    class TestQdrant(VectorStoreSuite):
        component = ragkit_qdrant.ragkit_vector_stores()[0]

What the component's capabilities claim is tested to be true; what they do not claim is tested to be refused. A test that asks
for a capability which is not claimed is not collected. Each test's docstring says what to mend when it fails; to replace one
needs a reason, `@overrides("…")`. This package alone imports pytest.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{name}"
        for name in (
            "chunkers",
            "concurrency",
            "content",
            "filtering",
            "keeping",
            "keywords",
            "rerankers",
            "retrievers",
            "searching",
            "vectors",
            "writing",
        )
    )
)

# After the line above, so that a failing assert shows its values.
from ragkit.testing.conformance.chunkers import ChunkerSuite  # noqa: E402
from ragkit.testing.conformance.claims import overrides  # noqa: E402
from ragkit.testing.conformance.keywords import KeywordStoreSuite  # noqa: E402
from ragkit.testing.conformance.rerankers import RerankerSuite  # noqa: E402
from ragkit.testing.conformance.retrievers import RetrieverSuite  # noqa: E402
from ragkit.testing.conformance.suite import StoreSuite  # noqa: E402
from ragkit.testing.conformance.vectors import VectorStoreSuite  # noqa: E402

__all__ = ["ChunkerSuite", "KeywordStoreSuite", "RerankerSuite", "RetrieverSuite", "StoreSuite", "VectorStoreSuite", "overrides"]
