"""The reranker `cross_encoder`: hits in the order of a model that reads question and text together."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.errors import ComponentError
from ragkit_huggingface.judge import Judge
from ragkit_huggingface.pairs import NAME

_KEPT_LOOKUPS = 32


class CrossEncoderReranker(BaseNodePostprocessor):
    """Scores each hit with a cross encoder and puts the best first; ties keep their order.

    The model reads the question and the hit's text, without its title or other metadata. The score is the model's own, higher
    is better: a number from 0 to 1 where it ends in a sigmoid (the default of sentence-transformers for one label), any
    number where its files name another activation, as those of the ms-marco models do. With `cache`, a pair that the model
    has read once gets its score from the score cache, and a question whose pairs all have one needs no model at all.
    """

    _context: BuildContext = PrivateAttr()
    _judge: Judge = PrivateAttr()
    _cache: bool = PrivateAttr()
    _lookups: dict[tuple[str, ...], dict[str, float]] = PrivateAttr()
    _lock: threading.Lock = PrivateAttr()

    def __init__(self, context: BuildContext, judge: Judge, *, cache: bool = True) -> None:
        super().__init__()
        self._context = context
        self._judge = judge
        self._cache = cache
        self._lookups = {}
        self._lock = threading.Lock()

    @classmethod
    def class_name(cls) -> str:
        return "ragkit.CrossEncoderReranker"

    def prepare(self) -> None:
        """Load the model. Raises `ComponentError` where that fails."""
        self._judge.load()

    def estimate_ms(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> float | None:
        """How long the model will take for the texts that the cache does not know; 0 where it knows all."""
        texts = _texts(nodes)
        known = self._known(query.query_str, texts)
        with self._lock:  # whoever asks for an estimate asks for the scores next
            while len(self._lookups) >= _KEPT_LOOKUPS:
                del self._lookups[next(iter(self._lookups))]
            self._lookups[query.query_str, *texts] = known
        unknown = _unknown(texts, known)
        return self._judge.expected_ms(query.query_str, unknown) if unknown else 0.0

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        if query_bundle is None:
            raise ComponentError(
                f"the reranker `{NAME}` orders by a question, and got none",
                component=NAME,
                cure="pass query_bundle=… or query_str=…",
            )
        question, texts = query_bundle.query_str, _texts(nodes)
        with self._lock:
            known = self._lookups.pop((question, *texts), None)
        if known is None:
            known = self._known(question, texts)
        if known:
            here = self._context.run(query_bundle).here
            here.note(f"{sum(text in known for text in texts)} of {len(texts)} scores from the cache")
        scores = {**known, **self._fresh(question, _unknown(texts, known))}
        ranked = [NodeWithScore(node=item.node, score=scores[text]) for item, text in zip(nodes, texts, strict=True)]
        return sorted(ranked, key=lambda item: -(item.score or 0.0))

    def _known(self, question: str, texts: Sequence[str]) -> dict[str, float]:
        """The scores that the cache has, by text."""
        if not self._cache:
            return {}
        asked = list(dict.fromkeys(texts))
        found = self._context.scores.get(self._judge.key, question, asked)
        return {text: score for text, score in zip(asked, found, strict=True) if score is not None}

    def _fresh(self, question: str, texts: Sequence[str]) -> dict[str, float]:
        """The model's scores by text, kept in the cache. Raises `ComponentError` for a score that is no number."""
        if not texts:
            return {}
        scores = dict(zip(texts, self._judge.scores(question, texts), strict=True))
        sound = {text: score for text, score in scores.items() if math.isfinite(score)}
        if self._cache and sound:
            self._context.scores.put(self._judge.key, question, sound)
        if len(sound) < len(scores):
            raise ComponentError(
                f"the model gave {len(scores) - len(sound)} of {len(scores)} texts a score that is no number",
                component=NAME,
                cure=f"its weights are damaged, or overflow on this device: choose another rerankers.{NAME}.model or device",
            )
        return scores


def _texts(nodes: Sequence[NodeWithScore]) -> list[str]:
    return [item.node.get_content(metadata_mode=MetadataMode.NONE) for item in nodes]


def _unknown(texts: Sequence[str], known: Mapping[str, float]) -> list[str]:
    """The texts without a score, equal ones once."""
    return [text for text in dict.fromkeys(texts) if text not in known]
