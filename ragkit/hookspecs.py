"""The hooks: one per kind of component, each returning the components that a plugin offers.

A plugin is a module with functions marked `@hookimpl` and named as below, made known by an entry point in the group
`ragkit`. Every hook fires once, when the host is made; nothing heavy may be imported then. A plugin may state the
version of this contract that it needs as a module attribute, `RAGKIT_API = 1`; a host that is older refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import pluggy

from ragkit.components import Component

API_VERSION = 1
PROJECT = "ragkit"

Hook = TypeVar("Hook")

hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


def _spec(function: Hook) -> Hook:
    return cast("Hook", _hookspec(cast("Any", function)))


@_spec
def ragkit_sources() -> Sequence[Component]:
    """Sources: `build` returns an iterable of LlamaIndex `Document`s, lazily, that ends only when the listing is complete.

    `document.metadata["uri"]` (else `id_`) names a document within its source and must be the same in every run. A source
    that can list more cheaply than it reads offers `ListsEntries`.
    """
    return ()


@_spec
def ragkit_cleaners() -> Sequence[Component]:
    """Cleaners: `build` returns a LlamaIndex `TransformComponent` that takes and returns documents."""
    return ()


@_spec
def ragkit_chunkers() -> Sequence[Component]:
    """Chunkers: `build` returns a LlamaIndex `NodeParser`.

    Each node's text should be a piece of its document, with `start_char_idx` and `end_char_idx`. An attribute `lead` of the
    parser (`none`, `title` or `headings`) says what is put before the text in what is embedded and indexed.
    """
    return ()


@_spec
def ragkit_embeddings() -> Sequence[Component]:
    """Embeddings: `build` returns a LlamaIndex `BaseEmbedding`. See `Component.identity` and `Component.tokenizer`."""
    return ()


@_spec
def ragkit_vector_stores() -> Sequence[Component]:
    """Vector stores: `build` returns a LlamaIndex `BasePydanticVectorStore`."""
    return ()


@_spec
def ragkit_keyword_stores() -> Sequence[Component]:
    """Keyword stores: `build` returns a `BasePydanticVectorStore` with `is_embedding_query = False`, asked by `query_str`."""
    return ()


@_spec
def ragkit_retrievers() -> Sequence[Component]:
    """Retrievers: `build` returns a LlamaIndex `BaseRetriever`; one that is also a `Leg` can be fused without loss.

    An attribute `query_settings` of what is built names the options that one query may override (`{"alpha"}`); it finds the
    values in `context.run(query).settings` and has to check them itself. Any other setting is an error.
    """
    return ()


@_spec
def ragkit_rerankers() -> Sequence[Component]:
    """Rerankers: `build` returns a LlamaIndex `BaseNodePostprocessor`.

    One that fails, or gives a score that is no number, is left out of that query. `query_settings` as for retrievers.
    """
    return ()


@_spec
def ragkit_answerers() -> Sequence[Component]:
    """Answerers: `build` returns a LlamaIndex `BaseSynthesizer`.

    The response's `metadata["citations"]` may list `{"n": 1, "node_id": …, "start": …, "end": …}`, the quote's character
    offsets within that node's text.
    """
    return ()


@_spec
def ragkit_llms() -> Sequence[Component]:
    """LLMs: `build` returns a LlamaIndex `LLM`."""
    return ()
