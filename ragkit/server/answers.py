"""The bodies of answers, as the OpenAPI document has them and the records of ragkit make them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ragkit.query.citations import Citation
from ragkit.query.search import Hit


class StageTold(BaseModel):
    """A stage of a question: chunks handed to it (`in`) and given on (`out`)."""

    name: str
    ms: float
    entered: int = Field(alias="in")
    out: int
    status: Literal["ok", "skipped", "degraded"]
    detail: str


class TraceTold(BaseModel):
    """A question from beginning to end. `dropped` says which stage a chunk did not pass."""

    total_ms: float
    generation: int
    stages: list[StageTold]
    dropped: dict[str, str]


class Found(BaseModel):
    """The JSON of `ragkit search`."""

    query: str
    hits: list[Hit]
    trace: TraceTold


class Answered(Found):
    """The JSON of `ragkit ask`."""

    answer: str
    abstained: bool = Field(description="The text says that there is no answer.")
    uncited: bool = Field(description="The text says something and cites nothing.")
    citations: list[Citation]


class Beside(BaseModel):
    """What ragkit says beside a completion: `answer` is the final text, from which marks that cite nothing are gone."""

    answer: str
    abstained: bool
    uncited: bool
    trace: TraceTold


class Said(BaseModel):
    """The message of a completion."""

    role: Literal["assistant"]
    content: str
    refusal: str | None = None


class Choice(BaseModel):
    """The one answer of a completion."""

    index: int
    message: Said
    logprobs: None = None
    finish_reason: Literal["stop"]


class Completion(BaseModel):
    """OpenAI's completion with the citations beside it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    citations: list[Citation]
    ragkit: Beside


class ModelTold(BaseModel):
    """The index, or its embedding."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(BaseModel):
    """What may be asked for as `model`."""

    object: Literal["list"]
    data: list[ModelTold]


class VectorTold(BaseModel):
    """A vector, or its float32 in base64, the lowest byte first."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that the embedding model has read."""

    prompt_tokens: int
    total_tokens: int


class Vectors(BaseModel):
    """A vector for each input, in their order."""

    object: Literal["list"]
    data: list[VectorTold]
    model: str
    usage: Usage


class DocumentTold(BaseModel):
    """A document as the ledger has it."""

    document_id: str
    source: str
    uri: str
    title: str
    metadata: dict[str, Any]
    text: str


class RunTold(BaseModel):
    """An ingest; times are seconds since the epoch, `report` is the JSON of `ragkit ingest`."""

    id: int
    started: float
    finished: float | None
    status: Literal["running", "done", "part", "failed"]
    fingerprint: str
    report: dict[str, Any]


class Runs(BaseModel):
    """Past ingests, newest first."""

    runs: list[RunTold]
