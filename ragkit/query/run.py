"""One query on its way through the stages, and the LlamaIndex query bundle that carries it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import QueryBundle

from ragkit.errors import QueryError
from ragkit.filters import joined
from ragkit.query.trace import LabelledRecorder, Recorder, StageRecorder

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import MetadataFilters

MAX_QUESTION_CHARS = 32_768
MAX_HITS = 1_000


@dataclass(frozen=True)
class QueryRun:
    """What was asked and what is wanted; see `ragkit.components.Run`. `recorder` collects the trace.

    Raises `QueryError` for a question that holds nothing or too much, and for a `top_k` that cannot be met.
    """

    text: str
    top_k: int
    filters: MetadataFilters | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    recorder: Recorder = field(default_factory=Recorder)
    retriever: str | None = None
    """The leg that is asked alone, or None for the configured retriever."""
    rerankers: tuple[str, ...] | None = None
    """The rerankers that are asked, or None for all."""
    here: StageRecorder = field(default_factory=lambda: StageRecorder(""), compare=False, repr=False)
    """The stage in which a reranker is asked; elsewhere, one that nobody reads."""
    embedding_lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """Held while the question is embedded, so that legs that run at the same time do it once."""

    def __post_init__(self) -> None:
        check_question(self.text)
        if type(self.top_k) is not int or not 1 <= self.top_k <= MAX_HITS:
            raise QueryError(f"k is {self.top_k!r}; it must be a whole number from 1 to {MAX_HITS:,}")

    def score_of(self, stage: str, chunk_id: str) -> float | None:
        """The chunk's score at a stage of this query, or None."""
        return self.recorder.score_of(stage, chunk_id)

    def stage(self, name: str, entered: int = 0) -> AbstractContextManager[StageRecorder]:
        """A context manager that times a stage of this query."""
        return self.recorder.stage(name, entered)


class Question(QueryBundle):
    """A LlamaIndex query bundle that knows its run."""

    def __init__(self, run: QueryRun, embedding: list[float] | None = None) -> None:
        super().__init__(query_str=run.text, embedding=embedding)
        self.run = run


def run_of(bundle: QueryBundle, default_top_k: int, *, generation: int = 0) -> QueryRun:
    """The run that `bundle` carries. A bundle from outside ragkit gets a fresh one, which it carries from then on."""
    run = getattr(bundle, "run", None)
    if not isinstance(run, QueryRun):
        run = QueryRun(bundle.query_str, default_top_k, recorder=Recorder(generation))
        bundle.run = run  # type: ignore[attr-defined]  # as `Question` has it
    return run


def with_top_k(bundle: QueryBundle, top_k: int) -> QueryBundle:
    """The same question asked for another number of hits; trace and embedding are shared."""
    other = copy(bundle)
    other.run = replace(run_of(bundle, top_k), top_k=min(top_k, MAX_HITS))  # type: ignore[attr-defined]
    return other


def within(question: Question, stage: StageRecorder) -> Question:
    """The same question, asked in a stage, so that who is asked can tell it something."""
    other = copy(question)
    other.run = replace(question.run, here=stage)
    return other


def rephrased(
    bundle: QueryBundle,
    text: str,
    default_top_k: int,
    *,
    label: str = "",
    filters: MetadataFilters | None = None,
    embed: Sequence[str] = (),
    generation: int = 0,
) -> Question:
    """The question that `bundle` carries in other words; see `BuildContext.rephrase`."""
    run = run_of(bundle, default_top_k, generation=generation)
    recorder = LabelledRecorder(run.recorder, label) if label else run.recorder
    other = Question(replace(run, text=text, filters=joined(run.filters, filters), recorder=recorder))
    if embed:
        other.custom_embedding_strs = list(embed)
    elif text == bundle.query_str:
        other.embedding = bundle.embedding
    return other


def check_question(text: str) -> None:
    """Refuse a question that holds nothing or too much."""
    if not text.strip():
        raise QueryError("the question is empty", cure="ask something, such as: ragkit ask 'How do I install it?'")
    if len(text) > MAX_QUESTION_CHARS:
        raise QueryError(
            f"the question has {len(text):,} characters; at most {MAX_QUESTION_CHARS:,} are read",
            cure="ask a shorter one, and ingest long texts as documents",
        )
