"""A question to an answer with citations, or to the admission that the documents hold none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Unpack, runtime_checkable

from llama_index.core.schema import NodeWithScore

from ragkit.components import WeighsTerms
from ragkit.query.abstention import ABSTAIN_BELOW, Evidence, abstains, confidence, coverage, weigh
from ragkit.query.citations import Citation, resolve, without
from ragkit.query.run import Question
from ragkit.query.search import Searcher, SearchResult, Wanted
from ragkit.query.threads import in_a_thread
from ragkit.query.trace import StageRecorder
from ragkit.query.yardstick import Yardstick
from ragkit.text import whole

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.base.response.schema import StreamingResponse
    from llama_index.core.response_synthesizers import BaseSynthesizer
    from llama_index.core.schema import QueryBundle

    from ragkit.state.reader import Reader

NOT_ANSWERED = "The documents do not answer this question."


@runtime_checkable
class Streams(Protocol):
    """A synthesizer that can also give its answer piece by piece.

    When the last piece is out, `metadata` holds the `citations`, and as `answer` the text where it was mended since.
    """

    def stream(self, query: QueryBundle, nodes: list[NodeWithScore]) -> StreamingResponse: ...


@dataclass(frozen=True)
class Answer(SearchResult):
    """An answer with the hits that it was made from. Each ` [n]` in `text` is a citation.

    With `abstained` the text says that there is no answer; `evidence` is what that was decided on, None where there was
    no hit.
    """

    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    evidence: Evidence | None

    @property
    def uncited(self) -> bool:
        """Whether the text claims something without saying where it comes from."""
        return not self.abstained and not self.citations

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit ask --json`."""
        citations = [citation.to_dict() for citation in self.citations]
        told = {"answer": self.text, "abstained": self.abstained, "uncited": self.uncited, "citations": citations}
        return {**super().to_dict(), **told}


class Answerer:
    """Searches, decides whether the hits answer, and has a synthesizer write. Threads may share it.

    `embedding` is needed to read the dense leg's cosines on the model's scale (leave it out for another metric). Without
    it, or without `term_weights`, the decision rests on what is left. A synthesizer's attribute `abstain_below` (0 to 1)
    sets how sure it has to be.
    """

    def __init__(
        self, searcher: Searcher, synthesizer: BaseSynthesizer, reader: Reader, term_weights: WeighsTerms | None = None,
        embedding: BaseEmbedding | None = None,
    ) -> None:  # fmt: skip
        self._searcher = searcher
        self._synthesizer = synthesizer
        self._reader = reader
        self._term_weights = term_weights
        self._yardstick = Yardstick(embedding) if embedding is not None else None
        self._abstain_below = float(getattr(synthesizer, "abstain_below", ABSTAIN_BELOW))

    def ask(self, question: str, **wanted: Unpack[Wanted]) -> Answer:
        """Answer with citations, or abstain. Raises what `Searcher.search` raises."""
        return next(piece for piece in self._pieces(question, wanted, streaming=False) if isinstance(piece, Answer))

    async def aask(self, question: str, **wanted: Unpack[Wanted]) -> Answer:
        """As `ask`, in a thread of its own."""
        return await asyncio.to_thread(self.ask, question, **wanted)

    def stream(self, question: str, **wanted: Unpack[Wanted]) -> Generator[str | Answer, None, None]:
        """The answer piece by piece, and last the `Answer`, whose text is final: marks that cite nothing are gone there."""
        return self._pieces(question, wanted, streaming=True)

    async def astream(self, question: str, **wanted: Unpack[Wanted]) -> AsyncGenerator[str | Answer, None]:
        """As `stream`; the work is done in a thread."""
        async with aclosing(in_a_thread(lambda: self.stream(question, **wanted))) as pieces:
            async for piece in pieces:
                yield piece

    def _pieces(self, question: str, wanted: Wanted, *, streaming: bool) -> Generator[str | Answer, None, None]:
        asked = self._searcher.question(question, **wanted)
        nodes = self._searcher.nodes(asked)
        evidence, abstained = self._judge(asked, nodes)
        text, pieces = NOT_ANSWERED, list[str]()
        citations: tuple[Citation, ...] = ()
        with asked.run.stage("answer", entered=len(nodes)) as stage:
            if abstained:
                stage.skipped("abstained")
            elif streaming and isinstance(self._synthesizer, Streams):
                streamed = self._synthesizer.stream(asked, nodes)
                for piece in streamed.response_gen:
                    pieces.append(piece)
                    yield whole(piece)
                text, citations = self._cited("".join(pieces), streamed.metadata or {}, nodes, stage)
            else:
                response = self._synthesizer.synthesize(asked, nodes)
                text, citations = self._cited(str(response), response.metadata or {}, nodes, stage)
        if not pieces:
            yield from re.findall(r"\s*\S+\s*", text)
        yield Answer(question, tuple(nodes), asked.run.recorder.trace(), text, citations, abstained, evidence)

    def _judge(self, question: Question, nodes: Sequence[NodeWithScore]) -> tuple[Evidence | None, bool]:
        """What the hits bring to the question, from raw cosines and terms, and whether to abstain."""
        with question.run.stage("abstention", entered=len(nodes)) as stage:
            if not nodes:
                stage.note("there are no hits")
                return None, True
            evidence = Evidence(self._similarity(question, nodes), self._coverage(question.query_str, nodes))
            sure, abstained = confidence(evidence), abstains(evidence, self._abstain_below)
            told = "nothing to judge the hits by" if sure is None else f"confidence {sure:.2f} ({evidence})"
            stage.note(f"{told}, abstained below {self._abstain_below:.2f}" if abstained else told)
            stage.out = 0 if abstained else len(nodes)
            return evidence, abstained

    def _similarity(self, question: Question, nodes: Sequence[NodeWithScore]) -> float | None:
        cosines = question.run.recorder.trace().scores.get("dense", {})
        best = max((cosines[item.node.node_id] for item in nodes if item.node.node_id in cosines), default=None)
        if best is None or self._yardstick is None or not -1.001 <= best <= 1.001:
            return None
        scale = self._yardstick.scale()
        return scale.read(best) if scale.usable else None

    def _coverage(self, question: str, nodes: Sequence[NodeWithScore]) -> float | None:
        if self._term_weights is None:
            return None
        wanted = weigh(self._term_weights.terms(question), self._term_weights)
        shares = [coverage(wanted, self._term_weights.terms(_whole(item))) for item in nodes]
        return max((share for share in shares if share is not None), default=None)

    def _cited(
        self, text: str, metadata: Mapping[str, Any], nodes: Sequence[NodeWithScore], stage: StageRecorder
    ) -> tuple[str, tuple[Citation, ...]]:
        """The answer's final text and its citations; marks of citations that do not hold are taken out."""
        text, metadata = whole(text), {**metadata, "answer": whole(metadata.get("answer", text))}
        citations, wrong = resolve(metadata.get("citations") or (), nodes, self._reader)
        for problem in wrong.values():
            stage.degraded(problem)
        if not citations:
            stage.note("the answerer cites nothing")
        stage.out = len(citations)
        lost = wrong.keys() - {citation.n for citation in citations}
        return without(metadata["answer"], lost), tuple(citations)


def _whole(item: NodeWithScore) -> str:
    """A chunk's text with what it stands under, which the keyword store may have read too."""
    metadata = item.node.metadata
    return "\n".join([str(metadata.get("title", "")), str(metadata.get("heading", "")), item.node.get_content()])
