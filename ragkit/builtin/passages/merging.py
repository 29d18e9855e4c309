"""`auto_merging`: the section in place of its chunks, where most of them were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeWithScore

from ragkit import BuildContext
from ragkit.builtin.passages.base import Passage, PassageRetriever, Satisfies

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

_MOST_FETCHED = 100
_CHILDREN = 64
"""How many children of a parent are looked for on each side of a hit."""

Run = tuple[str, ...]
"""The ids of chunks that follow each other in a document, in reading order."""


class AutoMergingRetriever(PassageRetriever):
    """Looks at the best `fetch` hits of `inner`, and puts a parent where more than `threshold` of its chunks are among them.

    The passage has the id of its best chunk and the highest score of those that were found. A chunk's parent is what the
    chunker calls so; else its section, the neighbouring chunks under the same heading; of a section of more than `most`
    chunks, that many, beginning with one that was found. A parent of one chunk is none. `fetch` None means three times what
    is wanted, up to 100.
    """

    def __init__(
        self, context: BuildContext, inner: Any, *, threshold: float = 0.5, most: int = 4, fetch: int | None = None
    ) -> None:
        super().__init__(context, inner, "auto_merging")
        self._threshold = threshold
        self._most = most
        self._fetch = fetch

    def _amounts(self, k: int) -> Iterable[int]:
        return [max(k, self._fetch or min(3 * k, _MOST_FETCHED))]

    def _passages(self, found: Sequence[Passage], k: int, satisfies: Satisfies) -> tuple[list[Passage], str]:
        ids = {chunk_id for item in found for chunk_id in item.core}
        merged, hits = list(found), 0
        parents = chosen(self._parents(found, satisfies), ids, self._threshold)
        for parent in parents:
            before = len(merged)
            merged = with_parent(merged, parent)
            hits += before - len(merged) + 1
        return merged[:k], f"{hits} hits were merged into {len(parents)} parents" if parents else ""

    def _parents(self, found: Sequence[Passage], satisfies: Satisfies) -> list[Run]:
        """The parent of every chunk that was found, in reading order; of those alone in their document only if one is enough."""
        documents = Counter(item.hit.node.ref_doc_id for item in found for _ in item.core)
        enough = 1 if self._threshold * self._most < 1 else 2
        placed: list[tuple[str, int, Run]] = []
        known: set[str] = set()
        for item in found:
            document = item.hit.node.ref_doc_id
            for chunk_id in item.core if documents[document] >= enough else ():
                if chunk_id not in known:
                    begins, parent, named = self._parent(chunk_id, satisfies)
                    placed.append((str(document), begins, parent))
                    known.update(parent if named else ())
        return [parent for *_, parent in sorted(placed, key=lambda one: one[:2])]

    def _parent(self, chunk_id: str, satisfies: Satisfies) -> tuple[int, Run, bool]:
        """Where the chunk begins in its document, its parent, and whether its chunker named that.

        The parent is empty where the chunk was deleted meanwhile.
        """
        parent = self._context.parent(chunk_id)
        children = {child.node_id for child in parent.child_nodes or ()} if parent is not None else set()
        reach = self._most - 1 if parent is None else _CHILDREN
        near = self._context.neighbours(chunk_id, reach, reach)
        at = next((place for place, node in enumerate(near) if node.node_id == chunk_id), None)
        if at is None:
            return 0, (), False

        def fits(node: BaseNode) -> bool:
            if parent is None:
                alike = node.metadata.get("heading") == near[at].metadata.get("heading")
            else:
                alike = node.node_id in children
            return alike and satisfies(node.metadata)

        first = next((place for place in range(at, 0, -1) if not fits(near[place - 1])), 0)
        end = next((place for place in range(at + 1, len(near)) if not fits(near[place])), len(near))
        if parent is None:
            end = min(end, at + self._most)
            first = max(first, min(at, end - self._most))
        begins = getattr(near[at], "start_char_idx", None)
        return begins or 0, tuple(node.node_id for node in near[first:end]), parent is not None


def chosen(parents: Sequence[Run], found: Set[str], threshold: float) -> list[Run]:
    """The parents of several chunks of which more than the share `threshold` was found; of two that overlap, the first."""
    taken: set[str] = set()
    enough = []
    for parent in parents:
        count = sum(chunk_id in found for chunk_id in parent)
        if len(parent) > 1 and count / len(parent) > threshold and taken.isdisjoint(parent):
            taken.update(parent)
            enough.append(parent)
    return enough


def with_parent(passages: Sequence[Passage], parent: Run) -> list[Passage]:
    """The passages with that of these chunks in place of the best that has one of them, and without the others that do."""
    inside = set(parent)
    places = [place for place, item in enumerate(passages) if inside.intersection(item.ids)]
    covered = [passages[place] for place in places]
    ids = parent
    for item in covered:
        ids = together(ids, item.ids)
    found = inside.union(*(item.core for item in covered))
    scores = [item.hit.score for item in covered if item.hit.score is not None]
    hit = NodeWithScore(node=covered[0].hit.node, score=max(scores, default=None))
    passage = Passage(hit, tuple(chunk_id for chunk_id in ids if chunk_id in found), ids)
    rest = [item for place, item in enumerate(passages) if place not in places]
    return [*rest[: places[0]], passage, *rest[places[0] :]]


def together(one: Run, other: Run) -> Run:
    """Two runs of consecutive ids that overlap, as one."""
    first, second = (one, other) if other[0] in one else (other, one)
    if second[0] not in first:
        return one
    start = first.index(second[0])
    return (*first[:start], *max(first[start:], second, key=len))
