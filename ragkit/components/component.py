"""A component: a name, its options and how it is built; and a spec: a component chosen with its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ragkit.components.kinds import Kind
from ragkit.components.links import LinkPattern
from ragkit.components.options import Options

if TYPE_CHECKING:
    from ragkit.components.context import BuildContext
    from ragkit.components.protocols import Tokenizer


@dataclass(frozen=True)
class Component:
    """What a plugin offers under a name.

    `build(options, context)` gets validated options and returns the LlamaIndex type of its kind; heavy imports belong
    inside it. `capabilities` says as data what the component can do; the host refuses settings that ask for more, and
    the conformance kit tests that the claims are true. `adapt(options)` returns what the options change about them (a
    server's `processes` instead of a folder's); what it leaves out stays as declared. `version` is raised by the author
    whenever the same options and input begin to give another result; it is part of the index's fingerprint.

    Two callables are for embeddings alone. `identity(options, context)` returns what identifies the model beyond
    its options (the hash of its weights, pooling, prompts, maximum length); `tokenizer(options, context)` returns the
    `Tokenizer` that counts as the model does. Both should work without loading the model.

    `links` are for sources alone: which links of a list this source takes.
    """

    name: str
    options: type[Options]
    build: Callable[[Any, BuildContext], Any]
    summary: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    identity: Callable[[Any, BuildContext], str] | None = None
    tokenizer: Callable[[Any, BuildContext], Tokenizer] | None = None
    adapt: Callable[[Any], Mapping[str, Any]] | None = None
    links: tuple[LinkPattern, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A component chosen in the configuration, with validated options: what `BuildContext.build` takes.

    `name` tells apart what is there several times (sources, legs); for the others it equals `use`.
    """

    kind: Kind
    component: Component
    options: Options
    name: str = ""

    @property
    def use(self) -> str:
        """The component's name, as the YAML's `use` has it."""
        return self.component.name

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the component can do with these options."""
        adapt = self.component.adapt
        return {**self.component.capabilities, **(adapt(self.options) if adapt else {})}

    def identity(self) -> dict[str, Any]:
        """What makes this choice another index: component, its version and its identity options."""
        return {"use": self.use, "version": self.component.version, "options": self.options.identity_values()}


@dataclass(frozen=True)
class Nested:
    """Marks a field that holds a component of `kind`; written in YAML as a name or as `{use: name, …}`."""

    kind: Kind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"x-ragkit-kind": self.kind.value}

    def _validate(self, value: Any, info: ValidationInfo) -> Spec:
        """Resolve through the function that the configuration puts into the validation context."""
        if isinstance(value, Spec):
            return value
        resolve = (info.context or {}).get("resolve")
        if resolve is None:
            raise PydanticCustomError("unresolved", "a nested component needs a host; give a Spec, or load it from YAML")
        spec: Spec = resolve(self.kind, value, info.context)
        return spec


ChunkerSpec = Annotated[Spec, Nested(Kind.CHUNKER)]
EmbeddingSpec = Annotated[Spec, Nested(Kind.EMBEDDING)]
RetrieverSpec = Annotated[Spec, Nested(Kind.RETRIEVER)]
RerankerSpec = Annotated[Spec, Nested(Kind.RERANKER)]
LLMSpec = Annotated[Spec, Nested(Kind.LLM)]
CleanerSpec = Annotated[Spec, Nested(Kind.CLEANER)]
SourceSpec = Annotated[Spec, Nested(Kind.SOURCE)]
VectorStoreSpec = Annotated[Spec, Nested(Kind.VECTOR_STORE)]
KeywordStoreSpec = Annotated[Spec, Nested(Kind.KEYWORD_STORE)]
AnswererSpec = Annotated[Spec, Nested(Kind.ANSWERER)]
