"""Which grammar reads a file: the languages that `code` knows, by name and by suffix."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from tree_sitter import Parser

_PLACES = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "c_sharp": ("tree_sitter_c_sharp", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
"""The module of each grammar, and its function."""

LANGUAGES = tuple(_PLACES)

_SUFFIXES = {
    **dict.fromkeys((".sh", ".bash", ".zsh"), "bash"),
    **dict.fromkeys((".c", ".h"), "c"),
    ".cs": "c_sharp",
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), "cpp"),
    ".go": "go",
    ".java": "java",
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), "javascript"),
    ".php": "php",
    **dict.fromkeys((".py", ".pyi", ".pyw"), "python"),
    ".rb": "ruby",
    ".rs": "rust",
    ".tsx": "tsx",
    **dict.fromkeys((".ts", ".mts", ".cts"), "typescript"),
}
_ALIASES = {
    **dict.fromkeys(("shell", "sh", "shellscript", "zsh"), "bash"),
    **dict.fromkeys(("c#", "csharp", "cs"), "c_sharp"),
    **dict.fromkeys(("c++", "cplusplus"), "cpp"),
    "golang": "go",
    **dict.fromkeys(("js", "jsx", "node"), "javascript"),
    **dict.fromkeys(("py", "python3"), "python"),
    "rb": "ruby",
    "rs": "rust",
    "ts": "typescript",
}


def language_of(named: object, uri: object) -> str | None:
    """The language of a file: as its metadata name it, else by the suffix of its URI; None for one that is not known."""
    if isinstance(named, str) and named.strip():
        name = named.strip().lower().replace(" ", "_").replace("-", "_")
        return _ALIASES.get(name, name) if _ALIASES.get(name, name) in _PLACES else None
    path = str(uri or "").partition("?")[0].partition("#")[0]
    return _SUFFIXES.get(PurePosixPath(path).suffix.lower())


@lru_cache(maxsize=len(_PLACES))
def _language(name: str) -> Any:
    from tree_sitter import Language

    module, function = _PLACES[name]
    return Language(getattr(import_module(module), function)())


def parser(name: str) -> Parser:
    """A parser for one of `LANGUAGES`. Raises `ComponentError` where its grammar is not installed."""
    try:
        from tree_sitter import Parser

        return Parser(_language(name))
    except ImportError as error:
        raise ComponentError(
            f"the grammar for {name} is not installed ({error})",
            component="code",
            cure="pip install 'ragkit[code]', or choose the chunker `recursive` for these documents",
        ) from error
