"""A question to an answer with citations, or to the admission that the documents hold none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Unpack, runtime_checkable

from llama_index.core.schema import NodeWithScore

from ragkit.components import WeighsTerms
from ragkit.query.abstention import ABSTAIN_BELOW, Evidence, abstains, confidence, coverage, weigh
from ragkit.query.citations import Citation, resolve, without
from ragkit.query.reader import Reader
from ragkit.query.run import Question
from ragkit.query.search import Hit, Searcher, SearchResult, Wanted
from ragkit.query.trace import Trace
from ragkit.query.yardstick import Yardstick

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.base.response.schema import StreamingResponse
    from llama_index.core.response_synthesizers import BaseSynthesizer
    from llama_index.core.schema import QueryBundle

NOT_ANSWERED = "The documents do not answer this question."


@runtime_checkable
class Streams(Protocol):
    """A synthesizer that can also give its answer piece by piece.

    When the last piece is out, `metadata` holds the `citations`, and as `answer` the text where it was mended since.
    """

    def stream(self, query: QueryBundle, nodes: list[NodeWithScore]) -> StreamingResponse: ...


@dataclass(frozen=True)
class Answer:
    """An answer. Each ` [n]` in `text` is a citation; with `abstained` the text says that there is no answer.

    `evidence` is what that was decided on; None where there was no hit.
    """

    query: str
    text: str
    citations: tuple[Citation, ...]
    abstained: bool
    nodes: tuple[NodeWithScore, ...]
    trace: Trace
    evidence: Evidence | None = None

    @property
    def hits(self) -> tuple[Hit, ...]:
        """What the answer was made from, best first."""
        return SearchResult(self.query, self.nodes, self.trace).hits

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `ragkit ask --json`."""
        return {
            **SearchResult(self.query, self.nodes, self.trace).to_dict(),
            "answer": self.text,
            "abstained": self.abstained,
            "citations": [citation.to_dict() for citation in self.citations],
        }


class Answerer:
    """Searches, decides whether the hits answer, and has a synthesizer write. Threads may share it.

    `embedding` is needed to read the dense leg's cosines on the model's scale (leave it out for another metric). Without
    it, or without `term_weights`, the decision rests on what is left. A synthesizer's attribute `abstain_below` (0 to 1)
    sets how sure it has to be.
    """

    def __init__(
        self,
        searcher: Searcher,
        synthesizer: BaseSynthesizer,
        reader: Reader,
        term_weights: WeighsTerms | None = None,
        embedding: BaseEmbedding | None = None,
        *,
        dense: str = "dense",
    ) -> None:
        self._searcher = searcher
        self._synthesizer = synthesizer
        self._reader = reader
        self._term_weights = term_weights
        self._yardstick = Yardstick(embedding) if embedding is not None else None
        self._dense = dense
        self._abstain_below = float(getattr(synthesizer, "abstain_below", ABSTAIN_BELOW))

    def ask(self, question: str, **wanted: Unpack[Wanted]) -> Answer:
        """Answer with citations, or abstain. Raises what `Searcher.search` raises."""
        asked = self._searcher.question(question, **wanted)
        nodes = self._searcher.nodes(asked)
        evidence = self._evidence(asked, nodes)
        if self._abstains(asked, nodes, evidence):
            return self._abstained(asked, nodes, evidence)
        with asked.run.stage("answer", entered=len(nodes)):
            response = self._synthesizer.synthesize(asked, nodes)
        return self._answer(asked, nodes, str(response), response.metadata, evidence)

    async def aask(self, question: str, **wanted: Unpack[Wanted]) -> Answer:
        """As `ask`, in a thread of its own."""
        return await asyncio.to_thread(self.ask, question, **wanted)

    def stream(self, question: str, **wanted: Unpack[Wanted]) -> Iterator[str | Answer]:
        """The answer piece by piece, and last the `Answer`, whose text is final: marks that cite nothing are gone there."""
        if not isinstance(self._synthesizer, Streams):
            answer = self.ask(question, **wanted)
            yield from re.findall(r"\s*\S+\s*", answer.text)
            yield answer
            return
        asked = self._searcher.question(question, **wanted)
        nodes = self._searcher.nodes(asked)
        evidence = self._evidence(asked, nodes)
        if self._abstains(asked, nodes, evidence):
            yield NOT_ANSWERED
            yield self._abstained(asked, nodes, evidence)
            return
        pieces: list[str] = []
        with asked.run.stage("answer", entered=len(nodes)):
            response = self._synthesizer.stream(asked, nodes)
            for piece in response.response_gen:
                pieces.append(piece)
                yield piece
        yield self._answer(asked, nodes, "".join(pieces), response.metadata, evidence)

    async def astream(self, question: str, **wanted: Unpack[Wanted]) -> AsyncIterator[str | Answer]:
        """As `stream`; the work is done in threads."""
        pieces = self.stream(question, **wanted)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    def _evidence(self, question: Question, nodes: Sequence[NodeWithScore]) -> Evidence | None:
        """What the hits bring to the question, from raw cosines and terms."""
        with question.run.stage("abstention", entered=len(nodes)):
            return Evidence(self._similarity(question, nodes), self._coverage(question.query_str, nodes)) if nodes else None

    def _similarity(self, question: Question, nodes: Sequence[NodeWithScore]) -> float | None:
        cosines = question.run.recorder.scores(self._dense)
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

    def _abstains(self, question: Question, nodes: Sequence[NodeWithScore], evidence: Evidence | None) -> bool:
        with question.run.stage("abstention") as stage:
            if evidence is None:
                stage.note("there are no hits")
                return True
            sure = confidence(evidence)
            abstained = abstains(evidence, self._abstain_below)
            told = f"confidence {sure:.2f} ({evidence})" if sure is not None else "nothing to judge the hits by"
            stage.note(f"{told}, abstained below {self._abstain_below:.2f}" if abstained else told)
            stage.produced(0 if abstained else len(nodes))
            return abstained

    def _abstained(self, question: Question, nodes: Sequence[NodeWithScore], evidence: Evidence | None) -> Answer:
        with question.run.stage("answer", entered=len(nodes)) as stage:
            stage.skipped("abstained")
        trace = question.run.recorder.trace()
        return Answer(question.query_str, NOT_ANSWERED, (), True, tuple(nodes), trace, evidence)

    def _answer(
        self,
        question: Question,
        nodes: Sequence[NodeWithScore],
        text: str,
        metadata: Mapping[str, Any] | None,
        evidence: Evidence | None,
    ) -> Answer:
        known = metadata or {}
        given: Sequence[Mapping[str, Any]] = known.get("citations") or ()
        with question.run.stage("answer") as stage:
            citations, problems = resolve(given, nodes, self._reader)
            for problem in problems:
                stage.degraded(problem)
            if not citations:
                stage.note("the answerer cites nothing")
            stage.produced(len(citations))
        lost = {int(item["n"]) for item in given} - {citation.n for citation in citations}
        final, trace = without(known.get("answer", text), lost), question.run.recorder.trace()
        return Answer(question.query_str, final, tuple(citations), False, tuple(nodes), trace, evidence)


def _whole(item: NodeWithScore) -> str:
    """A chunk's text with what it stands under, which the keyword store may have read too."""
    metadata = item.node.metadata
    return "\n".join([str(metadata.get("title", "")), str(metadata.get("heading", "")), item.node.get_content()])
