"""The bodies of requests and answers, as the OpenAPI document has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ragkit.pipeline import Exchange
from ragkit.query.run import MAX_HITS, MAX_QUESTION_CHARS

_LONGEST = MAX_QUESTION_CHARS
Text = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST)]
MOST_INPUTS = 2_048
MOST_MESSAGES = 1_000


class Strict(BaseModel):
    """A request in which an unknown field is a mistake."""

    model_config = ConfigDict(extra="forbid")


class Turn(Strict):
    """What was said before."""

    question: Text
    answer: Annotated[str, StringConstraints(max_length=1_000_000)]


class Wishes(Strict):
    """What a question may say beside its words. What is left out is as the configuration has it."""

    k: int | None = Field(None, ge=1, le=MAX_HITS, description="How many hits.")
    filters: str | None = Field(None, max_length=10_000, description="Such as `year >= 2020 and category in [article, post]`.")
    retriever: Literal["dense", "keyword"] | None = Field(None, description="A leg to ask alone.")
    rerankers: list[str] | None = Field(None, max_length=20, description="The rerankers to ask; an empty list asks none.")
    alpha: float | None = Field(None, ge=0, le=1, description="The weight of dense search, for retrievers that have one.")

    def wanted(self) -> dict[str, Any]:
        """As keywords of `Pipeline.search`."""
        names = ("k", "filters", "retriever", "rerankers", "alpha")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class SearchRequest(Wishes):
    """A question."""

    query: Text


class AskRequest(SearchRequest):
    """A question that is to be answered. With `stream`, the answer comes as server-sent events."""

    history: list[Turn] = Field(default_factory=list, max_length=MOST_MESSAGES, description="What was said before, oldest first.")
    stream: bool = False

    def wanted(self) -> dict[str, Any]:
        """As keywords of `Pipeline.ask`."""
        return {**super().wanted(), "history": [Exchange(turn.question, turn.answer) for turn in self.history]}


class Part(BaseModel):
    """A part of a message; text is read, images are refused."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """A message as OpenAI's API has it. Those of `system` and `developer` are not read: the configuration has the prompt."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """How it is streamed."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. What other fields OpenAI has are taken and not used: the configuration has the model."""

    model: str = Field(min_length=1, max_length=200, description="The index's name, as `GET /v1/models` has it.")
    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=1, description="One answer is given.")
    ragkit: Wishes | None = Field(None, description="What the question says beside its words.")


class EmbeddingsRequest(BaseModel):
    """`POST /v1/embeddings`."""

    model: str = Field(min_length=1, max_length=1_000, description="The embedding's name, as `GET /v1/models` has it.")
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] | None = None
    input_type: Literal["query", "document"] = Field("document", description="Some models embed questions in another way.")

    @property
    def texts(self) -> list[str]:
        """The inputs."""
        return [self.input] if isinstance(self.input, str) else list(self.input)


class Uploaded(BaseModel):
    """What became of a file: `outcome` is `added`, `updated` or `unchanged`."""

    document_id: str
    uri: str
    outcome: Literal["added", "updated", "unchanged"]
    chunks: int


class Deleted(BaseModel):
    """What was deleted."""

    document_id: str
    uri: str
    deleted: bool = True


class Health(BaseModel):
    """`ok`, or why not."""

    status: str
    detail: str = ""
