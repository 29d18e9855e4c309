"""What the suites of retrievers and rerankers share: the component, its options, an LLM, and which tests are collected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ragkit.components import Component, Leg
from ragkit.testing.conformance.claims import Claims, prepare
from ragkit.testing.conformance.corpus import chunks
from ragkit.testing.context import FakeContext, FakeRun, build_context
from ragkit.testing.legs import memory_legs
from ragkit.testing.models import FakeEmbedding

if TYPE_CHECKING:
    from llama_index.core.llms import LLM
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores.types import MetadataFilters

_PACKAGE = "ragkit.testing.conformance."


class AskedSuite:
    """A subclass names `component`. It may give YAML options with `sample_options`, and an LLM with the fixture `llm`."""

    component: ClassVar[Component]
    sample_options: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not f"{cls.__module__}.".startswith(_PACKAGE):
            prepare(cls, _PACKAGE)

    @classmethod
    def claims(cls) -> Claims:
        """What the component claims."""
        return Claims.of(cls.component, cls.sample_options)

    # What an author may replace

    @pytest.fixture
    def llm(self) -> LLM | None:
        """The language model that the component gets."""
        return None

    # What the tests use

    @pytest.fixture
    def nodes(self) -> list[TextNode]:
        """The corpus."""
        return chunks()

    @pytest.fixture
    def maker(self, llm: LLM | None, tmp_path: Path) -> Maker:
        """Builds the component."""
        return Maker(self.component, self.sample_options, llm, tmp_path)


class Maker:
    """Builds a component over given chunks, wanting `top_k` hits that satisfy `filters`."""

    def __init__(self, component: Component, options: Mapping[str, Any], llm: LLM | None, folder: Path) -> None:
        self.component = component
        self.options = options
        self.llm = llm
        self.folder = folder
        self.context: FakeContext | None = None

    def __call__(
        self,
        nodes: list[TextNode],
        top_k: int = 5,
        filters: MetadataFilters | None = None,
        *,
        again: bool = False,
        **options: Any,
    ) -> Any:
        """The component; with `again`, in the context of the last one, as another run of the program has it."""
        if not again or self.context is None:
            embedding = FakeEmbedding()
            legs: dict[str, Leg] = memory_legs(nodes, embedding)
            self.context = build_context(self.folder, chunks=nodes, embedding=embedding, llm=self.llm, legs=legs)
        self.context.run_ = FakeRun(top_k=top_k, filters=filters)
        given = self.component.options.model_validate({**self.options, **options})
        return self.component.build(given, self.context)

    @property
    def run(self) -> FakeRun:
        """The run of the component that was built last."""
        assert self.context is not None
        return self.context.run_
