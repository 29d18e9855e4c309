"""Passages: several neighbouring chunks of a document, handed out as one hit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from ragkit import BuildContext
from ragkit.builtin.retrievers.base import OverRetriever
from ragkit.components import Bounded, Hits
from ragkit.filters import matcher

if TYPE_CHECKING:
    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import MetadataFilters

Satisfies = Callable[[Mapping[str, Any]], bool]
"""Whether a chunk's metadata satisfy the query's filter."""

_FOUND = "found"


@dataclass(frozen=True)
class Passage:
    """Chunks that follow each other in a document, `ids` in reading order, and those of them that were found, `core`.

    `hit` is the best of those: the passage has its id, metadata and score.
    """

    hit: NodeWithScore
    core: tuple[str, ...]
    ids: tuple[str, ...]

    @classmethod
    def of(cls, item: NodeWithScore) -> Passage:
        """The passage that was handed out as this node, or that of the one chunk that it is."""
        children = item.node.relationships.get(NodeRelationship.CHILD)
        if not isinstance(children, list) or not children:
            return cls(item, (item.node.node_id,), (item.node.node_id,))
        core = tuple(child.node_id for child in children if child.metadata.get(_FOUND))
        return cls(item, core or (item.node.node_id,), tuple(child.node_id for child in children))

    def shown(self, context: BuildContext) -> NodeWithScore | None:
        """The node to hand out; None where the hit was deleted meanwhile.

        Its text is the document's from the first to the last chunk; the chunks are its LlamaIndex children.
        """
        if Passage.of(self.hit).ids == self.ids:
            return self.hit
        hit_id = self.hit.node.node_id
        node = context.passage([hit_id, *(chunk_id for chunk_id in self.ids if chunk_id != hit_id)])
        if node is None or node.node_id != hit_id:
            return None
        children = [RelatedNodeInfo(node_id=chunk_id, metadata={_FOUND: chunk_id in self.core}) for chunk_id in self.ids]
        related = {**node.relationships, NodeRelationship.CHILD: children}
        return NodeWithScore(node=node.model_copy(update={"relationships": related}), score=self.hit.score)


class PassageRetriever(OverRetriever):
    """A retriever that hands out passages for the hits of `inner`, as a leg finds what that finds.

    Asked itself, it takes more and more hits until there are as many passages as are wanted. Inside of another retriever it
    makes passages of what is left in the end, which may be fewer. No text is handed out twice: what two passages share
    stays with the better one. A passage holds only chunks that satisfy the query's filter.
    """

    def __init__(self, context: BuildContext, inner: Any, name: str) -> None:
        super().__init__(context, inner, name)
        self.floor: float | None = getattr(self._inner, "floor", None)

    @abstractmethod
    def _amounts(self, k: int) -> Iterable[int]:
        """How many hits are taken for `k` passages, and how many where those were too few, ascending."""

    @abstractmethod
    def _passages(self, found: Sequence[Passage], k: int, satisfies: Satisfies) -> tuple[list[Passage], str]:
        """Up to `k` passages for what was found, best first, and what there is to say of it."""

    def search(self, query: QueryBundle, k: int, filters: MetadataFilters | None = None) -> Hits:
        """The chunks that `inner` finds."""
        ids, scores = self._inner.search(query, k, filters)
        with self._context.run(query).stage(self.name, entered=len(ids)) as stage:
            stage.hits(ids, scores)
        return ids, scores

    def score(self, query: QueryBundle, ids: Sequence[str]) -> list[float] | None:
        """The scores that `inner` gives."""
        scores = self._inner.score(query, ids)
        if scores is not None:
            with self._context.run(query).stage(self.name, entered=len(ids)) as stage:
                stage.scored(ids, scores)
        return scores

    def bounds(self, query: QueryBundle) -> tuple[float, float] | None:
        """Those of `inner`, where it knows them."""
        return self._inner.bounds(query) if isinstance(self._inner, Bounded) else None

    def present(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
        """The passages of the found chunks."""
        found = [Passage.of(item) for item in super().present(query, nodes)]
        run = self._context.run(query)
        with run.stage(self.name) as stage:
            passages, told = self._passages(found, len(found), matcher(run.filters))
            if told:
                stage.note(told)
            return self._shown(passages)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        run = self._context.run(query_bundle)
        satisfies, k = matcher(run.filters), run.top_k
        found: list[Passage] = []
        passages: list[Passage] = []
        told = ""
        for wanted in self._amounts(k):
            ids, scores = self._inner.search(query_bundle, wanted, run.filters)
            found = [Passage.of(item) for item in super().present(query_bundle, self._context.hydrate(ids, scores))]
            with run.stage(self.name):
                passages, told = self._passages(found, k, satisfies)
            if len(passages) >= k or len(ids) < wanted:
                break
        with run.stage(self.name, entered=len(found)) as stage:
            if told:
                stage.note(told)
            nodes = self._shown(passages)
            stage.hits([item.node.node_id for item in nodes], [item.score or 0.0 for item in nodes])
        return nodes

    def _shown(self, passages: Sequence[Passage]) -> list[NodeWithScore]:
        return without_doubles([node for item in passages if (node := item.shown(self._context)) is not None])


class Around:
    """The chunks next to a chunk, as far as they satisfy the filter; each is asked for once."""

    def __init__(self, context: BuildContext, before: int, after: int, satisfies: Satisfies) -> None:
        self._context = context
        self._before = before
        self._after = after
        self._satisfies = satisfies
        self._known: dict[str, tuple[list[str], list[str]]] = {}

    def outward(self, chunk_id: str, step: int) -> list[str]:
        """The ids before the chunk (`step` -1) or behind it (`step` 1), the nearest first."""
        if chunk_id not in self._known:
            near = self._context.neighbours(chunk_id, self._before, self._after)
            at = next((place for place, node in enumerate(near) if node.node_id == chunk_id), 0)
            self._known[chunk_id] = self._until(near[:at][::-1]), self._until(near[at + 1 :])
        return self._known[chunk_id][step > 0]

    def _until(self, nodes: Sequence[BaseNode]) -> list[str]:
        refused = next((place for place, node in enumerate(nodes) if not self._satisfies(node.metadata)), len(nodes))
        return [node.node_id for node in nodes[:refused]]


def without_doubles(nodes: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """The nodes, best first, each without the text at its ends that a better one has: chunks may overlap.

    One of which nothing is left is left out; one whose place in the document is not known stays as it is.
    """
    taken: dict[str, list[tuple[int, int]]] = {}
    kept = []
    for item in nodes:
        node, span = item.node, _span(item.node)
        if not isinstance(node, TextNode) or span is None:
            kept.append(item)
            continue
        others = taken.setdefault(node.ref_doc_id or "", [])
        start, end = _left_of(span, others)
        others.append((start, end))
        if (start, end) == span:
            kept.append(item)
            continue
        piece = node.text[start - span[0] : end - span[0]]
        start += len(piece) - len(piece.lstrip())
        piece = piece.strip()
        if piece:
            place = {"start_char_idx": start, "end_char_idx": start + len(piece)}
            kept.append(NodeWithScore(node=node.model_copy(update={"text": piece, **place}), score=item.score))
    return kept


def _span(node: BaseNode) -> tuple[int, int] | None:
    """Where the node stands in its document, if that is known and as long as its text."""
    start, end = getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)
    return (start, end) if start is not None and end is not None and end - start == len(node.get_content()) else None


def _left_of(span: tuple[int, int], others: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """What of the span none of the others covers at its ends; `start >= end` where nothing is left."""
    start, end = span
    for first, last in sorted(others):
        if first <= start < last:
            start = last
    for first, last in sorted(others, reverse=True):
        if first < end <= last:
            end = first
    return (start, end) if start < end else (start, start)
