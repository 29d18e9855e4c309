"""The kinds of component: what the YAML key is, and which LlamaIndex type each builds."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A kind of component. Its value is the word used in messages, hooks and JSON."""

    SOURCE = "source"
    CLEANER = "cleaner"
    CHUNKER = "chunker"
    EMBEDDING = "embedding"
    VECTOR_STORE = "vector_store"
    KEYWORD_STORE = "keyword_store"
    RETRIEVER = "retriever"
    RERANKER = "reranker"
    ANSWERER = "answerer"
    LLM = "llm"

    @property
    def yaml_key(self) -> str:
        """Where the kind stands in the YAML: `sources`, `clean`, `answer`…"""
        return _YAML_KEYS.get(self, self.value)

    @property
    def hook(self) -> str:
        """The hook with which a plugin offers components of this kind."""
        return f"ragkit_{self.value}s"


_YAML_KEYS = {Kind.SOURCE: "sources", Kind.CLEANER: "clean", Kind.RERANKER: "rerankers", Kind.ANSWERER: "answer"}
