"""What the cleaners share: from a text to a new document, and keeping code as it is."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llama_index.core.schema import BaseNode, TransformComponent

from ragkit.text import fences

_INLINE_CODE = re.compile(r"``[^\n]{1,300}?``|`[^`\n]{1,300}`")


class TextCleaner(TransformComponent):
    """Returns new documents; those handed in stay as they are."""

    @abstractmethod
    def cleaned(self, text: str, metadata: Mapping[str, Any]) -> str:
        """The clean text of a document with this metadata."""

    def cleaned_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the clean document; as a rule what it was."""
        return dict(metadata)

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[BaseNode]:
        """Clean each document."""
        return [self._copy(node) for node in nodes]

    def _copy(self, node: BaseNode) -> BaseNode:
        copy = node.model_copy()
        copy.metadata = self.cleaned_metadata(node.metadata)
        copy.set_content(self.cleaned(node.get_content(), node.metadata))
        return copy


def is_source_code(metadata: Mapping[str, Any]) -> bool:
    """Whether the whole document is code; in a notebook, which is Markdown, only what is fenced is."""
    return bool(metadata.get("programming_language")) and metadata.get("format") != "markdown"


def outside_code(text: str, metadata: Mapping[str, Any], change: Callable[[str], str]) -> str:
    """`text` with `change` made to all but code: files of source code, and in Markdown what is fenced or between backticks."""
    if is_source_code(metadata):
        return text
    if metadata.get("format") != "markdown":
        return change(text)
    parts, behind = [], 0
    for start, end in (*fences(text), (len(text), len(text))):
        parts.append(_outside_inline(text[behind:start], change))
        parts.append(text[start:end])
        behind = end
    return "".join(parts)


def _outside_inline(text: str, change: Callable[[str], str]) -> str:
    parts, behind = [], 0
    for code in _INLINE_CODE.finditer(text):
        parts += [change(text[behind : code.start()]), code[0]]
        behind = code.end()
    return "".join([*parts, change(text[behind:])])
