"""Which formats there are, by a file's name."""

from __future__ import annotations

import os
from collections.abc import Mapping

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EPUB = "application/epub+zip"
HTML = "text/html"
MARKDOWN = "text/markdown"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON = "application/json"
JSONL = "application/jsonl"
NOTEBOOK = "application/x-ipynb+json"
TEXT = "text/plain"

CONTAINERS = frozenset((PDF, DOCX, PPTX, XLSX, EPUB))
"""What is no text: told apart by its bytes, and converted in a process of its own."""

_TYPES: Mapping[str, str] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), MARKDOWN),
    **dict.fromkeys((".txt", ".text", ".rst"), TEXT),
    **dict.fromkeys((".html", ".htm", ".xhtml"), HTML),
    ".pdf": PDF, ".docx": DOCX, ".pptx": PPTX, ".xlsx": XLSX, ".epub": EPUB, ".csv": CSV, ".tsv": TSV,
    **dict.fromkeys((".docm", ".dotx"), DOCX),
    **dict.fromkeys((".pptm", ".ppsx"), PPTX),
    **dict.fromkeys((".jsonl", ".ndjson"), JSONL),
    **dict.fromkeys((".adoc", ".asciidoc", ".org", ".tex"), TEXT),
    ".xlsm": XLSX, ".json": JSON, ".ipynb": NOTEBOOK,
}  # fmt: skip

_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "bash": (".sh", ".bash", ".zsh"), "c": (".c", ".h"), "clojure": (".clj", ".cljs", ".cljc"), "cmake": (".cmake",),
    "cpp": (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), "csharp": (".cs",), "css": (".css", ".scss", ".less"),
    "dart": (".dart",), "elixir": (".ex", ".exs"), "erlang": (".erl", ".hrl"), "fsharp": (".fs", ".fsx"), "go": (".go",),
    "graphql": (".graphql", ".gql"), "groovy": (".groovy", ".gradle"), "haskell": (".hs",), "java": (".java",),
    "ini": (".ini", ".cfg", ".conf"),
    "javascript": (".js", ".jsx", ".mjs", ".cjs"), "julia": (".jl",), "kotlin": (".kt", ".kts"), "lua": (".lua",),
    "ocaml": (".ml", ".mli"), "perl": (".pl", ".pm"), "php": (".php",), "powershell": (".ps1", ".psm1"), "protobuf": (".proto",),
    "python": (".py", ".pyi"), "r": (".r",), "ruby": (".rb",), "rust": (".rs",), "scala": (".scala",), "sql": (".sql",),
    "svelte": (".svelte",), "swift": (".swift",), "terraform": (".tf",), "toml": (".toml",), "tsx": (".tsx",),
    "typescript": (".ts", ".mts", ".cts"), "vue": (".vue",), "xml": (".xml",), "yaml": (".yaml", ".yml"), "zig": (".zig",),
}  # fmt: skip
_LANGUAGE_OF = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes}
_LANGUAGE_OF_NAME = {"dockerfile": "dockerfile", "makefile": "make", "cmakelists.txt": "cmake", "jenkinsfile": "groovy"}

INCLUDE = (
    *(f"**/*{suffix}" for suffix in (*_TYPES, *_LANGUAGE_OF)),
    *(f"**/{name}" for name in _LANGUAGE_OF_NAME),
)
"""The patterns of every file whose format is known."""

EXCLUDE = ("node_modules/", "__pycache__/", "site-packages/", "*.min.js", "*.min.css", "package-lock.json")
"""The patterns of what nobody wrote by hand."""


def type_of(uri: str) -> str:
    """The format that the name promises; `text/plain` where it promises none."""
    suffix = os.path.splitext(uri)[1].lower()  # noqa: PTH122 - called for every file of a listing
    return _TYPES.get(suffix, TEXT)


def programming_language(uri: str) -> str:
    """The language of a file with source code (`python`, `csharp`, `yaml`); nothing for other files."""
    name = uri.rpartition("/")[2].lower()
    return _LANGUAGE_OF_NAME.get(name) or _LANGUAGE_OF.get(os.path.splitext(name)[1], "")  # noqa: PTH122 - as above
