"""The components that come with ragkit: plugins like any other, offered through the same hooks."""

PLUGINS: tuple[str, ...] = (
    "ragkit.builtin.sources",
    "ragkit.builtin.cleaners",
    "ragkit.builtin.chunkers",
    "ragkit.builtin.retrievers",
    "ragkit.builtin.answerers",
)
"""The modules that the host loads as plugins."""
