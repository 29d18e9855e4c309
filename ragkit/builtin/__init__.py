"""The components that come with ragkit: plugins like any other, offered through the same hooks."""

PLUGINS: tuple[str, ...] = (
    "ragkit.builtin.sources",
    "ragkit.builtin.cleaners",
    "ragkit.builtin.chunkers",
    "ragkit.builtin.structure",
    "ragkit.builtin.nested",
    "ragkit.builtin.retrievers",
    "ragkit.builtin.passages",
    "ragkit.builtin.questions",
    "ragkit.builtin.rerankers",
    "ragkit.builtin.answerers",
    "ragkit.builtin.memory",
)
"""The modules that the host loads as plugins."""
