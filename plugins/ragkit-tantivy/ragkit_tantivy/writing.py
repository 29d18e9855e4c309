"""Putting changes into the index, and getting deleted chunks out of its statistics."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import tantivy

from ragkit_tantivy.records import EVERY, Record, token
from ragkit_tantivy.searching import View, pages


def commit(
    writer: tantivy.IndexWriter,
    changes: Mapping[str, Record | None],
    view: Callable[[], View | None],
    merge_deleted: float,
) -> None:
    """Put chunks in, and take out those that are None. `view()` gives the last commit.

    Where more than the share `merge_deleted` of what the index counts is deleted by then, it is written anew: tantivy counts
    deleted chunks in its scores until it merges their segments, which it does of itself by size alone.
    """
    before = view()
    for id_, record in changes.items():
        if before is not None and before.searcher.doc_freq("id", token(id_)):
            writer.delete_documents_by_term("id", token(id_))
        if record is not None:
            writer.add_document(record.document_of_index())
    sys.audit("ragkit.boundary", "tantivy.commit")
    writer.commit()
    sys.audit("ragkit.boundary", "tantivy.committed")
    after = view()
    if after is not None:
        counted = after.searcher.doc_freq("facts", EVERY)
        if counted - after.searcher.num_docs > merge_deleted * counted:
            _rewrite(writer, after)


def _rewrite(writer: tantivy.IndexWriter, view: View) -> None:
    """Put every chunk in anew, in one commit."""
    writer.delete_all_documents()
    for addresses in pages(view):
        for address in addresses:
            writer.add_document(Record.read(view.searcher.doc(address)).document_of_index())
    sys.audit("ragkit.boundary", "tantivy.rewritten")
    writer.commit()
