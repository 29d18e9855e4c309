"""Hits in the order in which a language model puts them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import LLM
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin.rerankers.base import Reranker, as_they_are, handed_on
from ragkit.builtin.rerankers.listwise import PROMPT, filled, order_in, shown, windows
from ragkit.errors import ComponentError

_SHOWN_CHARS = 100


@dataclass
class _Tally:
    """How the lists of one question came about."""

    lists: int = 0
    from_cache: int = 0
    nonsense: list[str] = field(default_factory=list)


class LLMReranker(Reranker):
    """Shows the LLM numbered passages and takes the order that it names (listwise reranking).

    Of more than `window` hits it is shown one window after another, from the back to the front and overlapping, so that what
    it puts first in one is compared with the hits of the next: Sun et al., "Is ChatGPT good at search?" (EMNLP 2023), 4.2.
    `step` is how far the window moves (none: half of it), `passage_chars` how much of each hit it reads.

    The LLM names an order alone, so the scores handed on say no more: (n - rank + 1) / n with ranks from 1 to n. An answer
    that names no order (`listwise.order_in`) leaves its window as it was, and the trace says what was answered; where none
    does, order and scores stay. An LLM that fails raises `ComponentError`. Orders are kept in the score cache: the same
    question with the same hits in the same order asks nothing.
    """

    use = "llm"

    _llm: LLM = PrivateAttr()
    _window: int = PrivateAttr()
    _step: int = PrivateAttr()
    _passage_chars: int = PrivateAttr()
    _prompt: str = PrivateAttr()

    def __init__(
        self,
        context: BuildContext,
        llm: LLM,
        *,
        window: int = 20,
        step: int | None = None,
        passage_chars: int = 600,
        prompt: str | None = None,
    ) -> None:
        super().__init__(context)
        self._llm = _calm(llm)
        self._window = window
        self._step = step or max(window // 2, 1)
        self._passage_chars = passage_chars
        self._prompt = prompt or PROMPT

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        if not nodes:
            return []
        if query_bundle is None:
            raise ComponentError(
                "the reranker `llm` orders by a question, and got none",
                component=self.use,
                cure="pass query_bundle=… or query_str=…",
            )
        lines = [shown(item.node.get_content(metadata_mode=MetadataMode.LLM), self._passage_chars) for item in nodes]
        order = list(range(len(nodes)))
        tally = _Tally()
        for start in windows(len(nodes), self._window, self._step) if len(nodes) > 1 else ():
            places = order[start : start + self._window]
            ranking = self._ranking(query_bundle.query_str, [lines[place] for place in places], tally)
            order[start : start + self._window] = [places[at] for at in ranking]
        self._tell(query_bundle, tally)
        if tally.nonsense and len(tally.nonsense) == tally.lists:
            return as_they_are(nodes)
        return handed_on(nodes, order, [(len(nodes) - place) / len(nodes) for place in range(len(nodes))])

    def _ranking(self, question: str, lines: Sequence[str], tally: _Tally) -> list[int]:
        """The places of `lines` in the LLM's order, or as they are where it names none."""
        tally.lists += 1
        as_is, key = list(range(len(lines))), self._cache_key(lines)
        texts = [f"[{number}] {line}" for number, line in enumerate(lines, 1)]  # two hits may have the same text
        ranks = self._context.scores.get(key, question, texts)
        kept = sorted(as_is, key=lambda place: ranks[place] or 0.0)
        if [ranks[place] for place in kept] == list(range(1, len(lines) + 1)):
            tally.from_cache += 1
            return kept
        answer = self._answer(filled(self._prompt, question, lines))
        order = order_in(answer, len(lines))
        if order is None:
            tally.nonsense.append(answer)
            return as_is
        self._context.scores.put(key, question, {texts[place]: float(rank) for rank, place in enumerate(order, 1)})
        return order

    def _answer(self, prompt: str) -> str:
        try:
            return self._llm.complete(prompt).text or ""
        except Exception as error:
            raise ComponentError(
                f"the language model did not answer: {type(error).__name__}: {error}",
                component=self.use,
                cure="look at `llm:` in the YAML, or remove `llm` from `rerankers:`",
            ) from error

    def _cache_key(self, lines: Sequence[str]) -> str:
        """What an order depends on beside the question: the model, how it is asked, and every passage in its place."""
        parts = [self._llm.class_name(), self._llm.metadata.model_name, self._prompt, *lines]
        return f"llm order {hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()}"

    def _tell(self, query: QueryBundle, tally: _Tally) -> None:
        if tally.from_cache:
            self._note(query, f"{tally.from_cache} of {tally.lists} lists came from the score cache")
        if tally.nonsense:
            said = " ".join(tally.nonsense[0].split())
            cut = f"{said[:_SHOWN_CHARS]}…" if len(said) > _SHOWN_CHARS else said
            what = f"the language model named no order in {len(tally.nonsense)} of {tally.lists} answers, which stay as they were"
            self._degraded(query, f"{what}; it said {cut!r}")


def _calm(llm: LLM) -> LLM:
    """The LLM at temperature 0 where it has one between 0 and 1, so that the same list gets the same order.

    One at 1 stays: some models take no other. The configured LLM itself, which others share, is not changed.
    """
    temperature = getattr(llm, "temperature", None) if "temperature" in type(llm).model_fields else None
    if isinstance(temperature, int | float) and 0 < temperature < 1:
        return llm.model_copy(update={"temperature": 0.0})
    return llm
