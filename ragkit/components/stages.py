"""What the stages of a query offer and are offered: rerankers, and the run that collects the trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore, QueryBundle
    from llama_index.core.vector_stores.types import MetadataFilters

# Rerankers


@runtime_checkable
class Prepares(Protocol):
    """A reranker that is slow to load. The host lets it load before the clock of `budget_ms` runs, unless it estimates 0 ms."""

    def prepare(self) -> None:
        """Load what is needed; does nothing when called again."""


@runtime_checkable
class EstimatesTime(Protocol):
    """A reranker that can tell how long it would take. Without it the host goes by how long it took before."""

    def estimate_ms(self, query: QueryBundle, nodes: Sequence[NodeWithScore]) -> float | None:
        """How long reranking `nodes` would take, in milliseconds; None where there is nothing to go by yet.

        0 says that the answer is known already, so that nothing has to be loaded for it.
        """


class ScoreCache(Protocol):
    """Scores that models gave to a question and a text, kept in the state. Never fails: what it cannot read is not there."""

    def get(self, model: str, query: str, texts: Sequence[str]) -> list[float | None]:
        """The score of each of `texts`, None where it is not known. `model` identifies the model and how it is asked."""

    def put(self, model: str, query: str, scores: Mapping[str, float]) -> None:
        """Keep the scores by text; what is too old goes."""


# A query


class Stage(Protocol):
    """One stage of a query while it runs; what is told here stands in the trace."""

    def hits(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """What came out, best first: gives every hit its score and rank at this stage."""

    def scored(self, ids: Sequence[str], scores: Sequence[float]) -> None:
        """Scores of hits that this stage did not find itself; they get no rank."""

    def note(self, detail: str) -> None:
        """Something worth knowing that went well."""

    def degraded(self, detail: str) -> None:
        """The stage did less than it should have; says what was lost."""

    def skipped(self, detail: str) -> None:
        """The stage did nothing; says why."""


class Run(Protocol):
    """One query on its way through the stages."""

    @property
    def top_k(self) -> int:
        """How many hits are wanted in the end."""

    @property
    def filters(self) -> MetadataFilters | None:
        """What hits must satisfy."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What this query overrides, such as `{"alpha": 0.3}`."""

    @property
    def here(self) -> Stage:
        """The stage in which a reranker is asked, under whatever name; elsewhere, one that nobody reads."""

    def score_of(self, stage: str, chunk_id: str) -> float | None:
        """The score that a chunk got at the stage called `stage`, such as `dense`; None where it got none there."""

    def stage(self, name: str, entered: int = 0) -> Any:
        """A context manager that times the stage and gives a `Stage`; `entered` is how many came in."""
