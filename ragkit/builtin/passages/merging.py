"""`auto_merging`: the section in place of its chunks, where most of them were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeWithScore

from ragkit import BuildContext
from ragkit.builtin.passages.base import Passage, PassageRetriever, Satisfies

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode

_MOST_FETCHED = 100
_REACH = (16, 128, 1_024)
"""How far back the beginning of a section is looked for; a chunk beyond the last of these is not merged."""
_CHILDREN = 64
"""How many children of a parent are looked for behind a hit."""


class AutoMergingRetriever(PassageRetriever):
    """Looks at the best `fetch` hits of `inner`, and puts a parent where more than `threshold` of its chunks are among them.

    The passage has the id of its best chunk and the highest score of those that were found. A chunk's parent is what the
    chunker calls so; else up to `most` neighbouring chunks under one heading, counted from the first under it. Parents of
    one chunk are no parents. `fetch` None means three times what is wanted, up to 100.
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
        parents = Parents(self._context, self._most, satisfies)
        merged, hits, chosen = list(found), 0, self._chosen(found, parents)
        for parent in chosen:
            before = len(merged)
            merged = with_parent(merged, parent)
            hits += before - len(merged) + 1
        told = [f"{hits} hits were merged into {len(chosen)} parents"] if chosen else []
        if parents.far:
            told.append(f"{parents.far} hits stand more than {_REACH[-1]:,} chunks into their section and have no parent")
        return merged[:k], "; ".join(told)

    def _chosen(self, found: Sequence[Passage], parents: Parents) -> list[tuple[str, ...]]:
        """The chunks of each parent of which enough were found."""
        documents = Counter(item.hit.node.ref_doc_id for item in found for _ in item.core)
        alone = self._threshold * self._most < 1  # one chunk may be enough
        counts: Counter[tuple[str, ...]] = Counter()
        for item in found:
            if alone or documents[item.hit.node.ref_doc_id] > 1:
                counts.update(parents.of(chunk_id) for chunk_id in item.core)
        return [parent for parent, count in counts.items() if len(parent) > 1 and count / len(parent) > self._threshold]


class Parents:
    """Which chunks have the same parent, in reading order. `far` counts those whose section begins too far away."""

    def __init__(self, context: BuildContext, most: int, satisfies: Satisfies) -> None:
        self._context = context
        self._most = most
        self._satisfies = satisfies
        self._known: dict[str, tuple[str, ...]] = {}
        self.far = 0

    def of(self, chunk_id: str) -> tuple[str, ...]:
        """The chunks with the parent of this one; none where that is not known."""
        if chunk_id not in self._known:
            parent = self._context.parent(chunk_id)
            if parent is None:
                self._learn_section(chunk_id)
            else:
                children, _ = self._run(chunk_id, _CHILDREN, lambda own, other: self._has_parent(other, parent.node_id))
                self._learn([children])
        return self._known.get(chunk_id, ())

    def _learn_section(self, chunk_id: str) -> None:
        """The groups of the section up to that of the chunk; what comes behind is not known to be whole."""
        section, at = self._run(chunk_id, self._most - 1, _heading_is_the_same)
        last = at - at % self._most
        self._learn(section[start : start + self._most] for start in range(0, last + 1, self._most))

    def _learn(self, groups: Iterable[Sequence[str]]) -> None:
        for group in groups:
            self._known.update(dict.fromkeys(group, tuple(group)))

    def _run(self, chunk_id: str, behind: int, alike: Callable[[BaseNode, BaseNode], bool]) -> tuple[list[str], int]:
        """The consecutive chunks that are like this one and satisfy the filter, up to `behind` behind it; and its place there.

        Nothing where the first of them is too far away.
        """
        for reach in _REACH:
            near = self._context.neighbours(chunk_id, reach, behind)
            at = next((place for place, node in enumerate(near) if node.node_id == chunk_id), None)
            if at is None:  # deleted meanwhile
                return [], 0
            fits = [alike(near[at], node) and self._satisfies(node.metadata) for node in near]
            first = next((place for place in range(at, 0, -1) if not fits[place - 1]), 0)
            end = next((place for place in range(at + 1, len(near)) if not fits[place]), len(near))
            if first > 0 or at < reach:
                return [node.node_id for node in near[first:end]], at - first
        self.far += 1
        return [], 0

    def _has_parent(self, node: BaseNode, parent_id: str) -> bool:
        parent = self._context.parent(node.node_id)
        return parent is not None and parent.node_id == parent_id


def _heading_is_the_same(one: BaseNode, other: BaseNode) -> bool:
    return bool(one.metadata.get("heading") == other.metadata.get("heading"))


def with_parent(passages: Sequence[Passage], parent: tuple[str, ...]) -> list[Passage]:
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


def together(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Two runs of consecutive ids that overlap, as one."""
    first, second = (one, other) if other[0] in one else (other, one)
    if second[0] not in first:
        return one
    start = first.index(second[0])
    return (*first[:start], *max(first[start:], second, key=len))
