"""An answer made of the best sentences of the best chunks, each cited. No model, a few milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.callbacks import CallbackManager
from llama_index.core.indices.prompt_helper import ChatPromptHelper, PromptHelper
from llama_index.core.llms import MockLLM
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.response_synthesizers import BaseSynthesizer
from llama_index.core.schema import NodeWithScore, QueryBundle

from ragkit import BuildContext
from ragkit.builtin.answerers.passages import anything, letters, quotable, readable
from ragkit.components import WeighsTerms

NOTHING = "The documents do not answer this question."

_CHUNK_WEIGHT = 0.25
_RELEVANT = 0.5


@dataclass(frozen=True)
class Sentence:
    """A sentence of a hit: which hit (0 is the best), where in its text, its terms and how well it suits the question."""

    hit: int
    node_id: str
    start: int
    end: int
    text: str
    terms: frozenset[str]
    score: float


class ExtractiveSynthesizer(BaseSynthesizer):
    """A LlamaIndex synthesizer that quotes. `metadata["citations"]` of its response says from where."""

    def __init__(self, context: BuildContext, *, max_sentences: int = 3, abstain_below: float = 0.5) -> None:
        # LlamaIndex takes its global LLM, an OpenAI one, where it is given none; and its helpers load a tokenizer.
        super().__init__(
            llm=MockLLM(),
            callback_manager=CallbackManager(),
            prompt_helper=PromptHelper(tokenizer=str.split),
            chat_prompt_helper=ChatPromptHelper(tokenizer=str.split),
            empty_response=NOTHING,
        )
        self._context = context
        self._max_sentences = max_sentences
        self.abstain_below = abstain_below

    def select(self, question: str, texts: Sequence[tuple[str, str]]) -> list[Sentence]:
        """The sentences to quote from `texts` (id and text, best first), in the order in which they are read."""
        return in_reading_order(choose(sentences_of(question, texts, self._context.term_weights), self._max_sentences))

    def synthesize(
        self,
        query: str | QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """The answer with `metadata["citations"]`."""
        question = query if isinstance(query, str) else query.query_str
        chosen = self.select(question, [(item.node.node_id, item.node.get_content()) for item in nodes])
        response = super().synthesize(query, nodes, additional_source_nodes, chosen=chosen, **response_kwargs)
        citations = [
            {"n": number, "node_id": item.node_id, "start": item.start, "end": item.end} for number, item in enumerate(chosen, 1)
        ]
        response.metadata = {**(response.metadata or {}), "citations": citations}
        return response

    async def asynthesize(
        self,
        query: str | QueryBundle,
        nodes: list[NodeWithScore],
        additional_source_nodes: Sequence[NodeWithScore] | None = None,
        **response_kwargs: Any,
    ) -> RESPONSE_TYPE:
        """As `synthesize`, which takes milliseconds."""
        return self.synthesize(query, nodes, additional_source_nodes, **response_kwargs)

    def get_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> str:
        """The answer's text; `text_chunks` are read where no sentences were chosen yet."""
        chosen = response_kwargs.get("chosen")
        if chosen is None:
            chosen = self.select(query_str, [(str(number), text) for number, text in enumerate(text_chunks)])
        return " ".join(f"{readable(item.text)} [{number}]" for number, item in enumerate(chosen, 1)) or NOTHING

    async def aget_response(self, query_str: str, text_chunks: Sequence[str], **response_kwargs: Any) -> str:
        """As `get_response`."""
        return self.get_response(query_str, text_chunks, **response_kwargs)

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        """There are none."""


def sentences_of(question: str, texts: Sequence[tuple[str, str]], weights: WeighsTerms) -> list[Sentence]:
    """Every sentence worth quoting with its score.

    The score is the share of the question's terms in the sentence, weighed by their inverse document frequency, plus a
    quarter over the chunk's rank, because the retriever's order knows more than words. On 400 SQuAD questions three such
    sentences hold the answer for 85 %; adding what the neighbouring sentences share changed nothing.
    """
    terms = list(dict.fromkeys(weights.terms(question)))
    idf = dict(zip(terms, (max(value, 0.0) for value in weights.idf(terms)), strict=True))
    total = sum(idf.values()) or 1.0
    found: list[Sentence] = []
    for hit, (node_id, text) in enumerate(texts):
        spans = quotable(text) or anything(text)
        for start, end in spans:
            words = frozenset(weights.terms(text[start:end]))
            score = sum(idf[term] for term in idf if term in words) / total + _CHUNK_WEIGHT / (1 + hit)
            found.append(Sentence(hit, node_id, start, end, text[start:end], words, score))
    return found


def choose(sentences: Sequence[Sentence], count: int) -> list[Sentence]:
    """At most `count` sentences, best first, none a repetition and none with less than half of the best one's score."""
    chosen: list[Sentence] = []
    for item in sorted(sentences, key=lambda item: (-item.score, item.hit, item.start)):
        if len(chosen) == count or item.score < _RELEVANT * (chosen[0].score if chosen else 0.0):
            break
        if not any(_repeats(item, other) for other in chosen):
            chosen.append(item)
    return chosen


def in_reading_order(chosen: Sequence[Sentence]) -> list[Sentence]:
    """Sentences of one chunk together in their order, the chunk of the best sentence first."""
    order = list(dict.fromkeys(item.node_id for item in chosen))
    return sorted(chosen, key=lambda item: (order.index(item.node_id), item.start))


def _repeats(one: Sentence, other: Sentence) -> bool:
    """Whether two sentences say the same: equal text, overlapping places, or four fifths of their terms in common."""
    if one.text == other.text:
        return True
    if one.node_id == other.node_id and one.start < other.end and other.start < one.end:
        return True
    union = one.terms | other.terms
    return bool(union) and letters(one.text) > 0 and len(one.terms & other.terms) >= 0.8 * len(union)
