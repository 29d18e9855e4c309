"""Hits that are relevant and not all alike, by maximal marginal relevance."""

from __future__ import annotations

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin.diversity import picks
from ragkit.builtin.rerankers.base import Reranker, handed_on, scores_of


class MMRReranker(Reranker):
    """Puts each hit where maximal marginal relevance picks it; `ragkit.builtin.diversity.picks` has the formula.

    All hits are handed on, each with its marginal relevance: what it was worth when it was picked, from 1 to -1, never more
    than the hit before. So order and scores agree, and how relevant a hit was before stands in the trace. Relevance is the
    score of the stage before (1 / rank where a hit has none), `diversity` from 0 to 1. A hit without a vector is like no other.
    """

    use = "mmr"

    _diversity: float = PrivateAttr()

    def __init__(self, context: BuildContext, *, diversity: float = 0.3) -> None:
        super().__init__(context)
        self._diversity = diversity

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        ids = [item.node.node_id for item in nodes]
        vectors = self._context.vectors(list(dict.fromkeys(ids)))
        without = sum(chunk_id not in vectors for chunk_id in ids)
        if without == len(ids):
            self._degraded(query_bundle, "no hit has a vector, so none is taken to be like another")
        elif without:
            self._note(query_bundle, f"{without} of {len(ids)} hits have no vector and are taken to be like no other")
        picked = picks(ids, scores_of(nodes), vectors, self._diversity, len(ids))
        return handed_on(nodes, [place for place, _ in picked], [value for _, value in picked])
