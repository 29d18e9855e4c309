"""The ragkit.yaml that `ragkit init` writes."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_NOT_DOCUMENTS = {"node_modules", "__pycache__", "site-packages", "venv"}

_SHOWN = 13
"""How many suffixes stand there where nothing is found yet; those of documents come first."""

_STARTER = """\
# What ragkit reads, and how it answers. `ragkit check` validates this file, `ragkit config` prints it with every default.
# Paths are relative to this file. For completion in an editor: `ragkit schema > ragkit.schema.json`, and above this line
# a comment of its own with yaml-language-server: $schema=ragkit.schema.json

name: {name}
state: .ragkit                         # the ledger, the stores and the embedding cache; safe to delete, costly to rebuild

sources:
  - use: files
    path: .
    include:
{patterns}

# What follows is the default; take the # away to change it. A changed chunker, embedding or store is built beside the
# live index with the next `ragkit ingest`.
#
# clean: [whitespace]
# chunker: {{use: sentence, overlap: 32}}             # size: as much as the embedding reads
# embedding: {{use: huggingface, model: sentence-transformers/all-MiniLM-L6-v2}}
# vector_store: faiss
# keyword_store: bm25
# retriever: {{use: hybrid, alpha: 0.6}}              # alpha is the weight of dense, 1 - alpha that of BM25
# rerankers: []
# top_k: 5
# answer: extractive                                # quotes the best sentences; llm writes, once an llm is named
# llm: null
"""


def starter(folder: Path, suffixes: Sequence[str]) -> tuple[str, str]:
    """The text of a configuration for the documents under `folder`, and in words what was found there.

    `suffixes` (`.md`) are those that the `files` source reads.
    """
    counts = _count(folder, suffixes)
    found = [(suffix, f"{count} file{'s' if count > 1 else ''}") for suffix, count in counts.most_common()]
    patterns = [f"      - {json.dumps(f'**/*{suffix}'):<20} # {files}" for suffix, files in found]
    patterns = patterns or [f"      - {json.dumps(f'**/*{suffix}')}" for suffix in suffixes[:_SHOWN]]
    name = json.dumps(folder.resolve().name or "documents", ensure_ascii=False)
    told = ", ".join(f"{suffix}: {files}" for suffix, files in found)
    return _STARTER.format(name=name, patterns="\n".join(patterns)), told or "no documents there yet"


def _count(folder: Path, suffixes: Sequence[str]) -> Counter[str]:
    """How many files of each suffix are there, hidden and installed ones left out."""
    counts: Counter[str] = Counter()
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_DOCUMENTS]
        found = (Path(name).suffix.lower() for name in files if not name.startswith("."))
        counts.update(suffix for suffix in found if suffix in suffixes)
    return counts
