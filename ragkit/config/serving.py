"""The keys of a configuration that say how people reach it: `chat` and `serve`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ragkit.components import ConfigPath


def _key(default: Any, description: str, **constraints: Any) -> Any:
    return Field(default, description=description, **constraints)


def _origin(value: str) -> str:
    """A page's origin, as browsers send it."""
    address = urlsplit(value)
    if (
        address.scheme not in ("http", "https")
        or not address.hostname
        or value.rstrip("/") != f"{address.scheme}://{address.netloc}"
    ):
        raise ValueError("must be an origin such as https://intranet.example.org; `*` is not taken")
    return value.rstrip("/")


def _address(value: str) -> str:
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError("must be an address such as http://localhost:4318")
    return value.rstrip("/")


class ChatSettings(BaseModel):
    """The chat page."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    title: str = _key("", "What stands above the page; the index's name where it is left out.", max_length=100)
    examples: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = _key(
        (), "Questions to begin with.", max_length=12
    )
    conversations: int = _key(1_000, "How many conversations each person keeps; the oldest go.", ge=1, le=100_000)
    turns: int = _key(500, "How many questions a conversation keeps; the oldest go.", ge=1, le=100_000)
    uploads: bool = _key(True, "Whether files can be uploaded on the page.")


class ServeSettings(BaseModel):
    """The HTTP API, and the server of the chat page."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = _key("127.0.0.1", "The address to listen at; others than this machine's own need keys.", min_length=1)
    port: int = _key(8000, "The port to listen at; 0 takes a free one.", ge=0, le=65_535)
    keys: ConfigPath | None = _key(
        None, "A file with the hashes of API keys, which `ragkit keys` writes; RAGKIT_API_KEYS in the environment adds to it."
    )
    requests_per_minute: int = _key(600, "How many requests a key, or an address without keys, may make; 0 sets no limit.", ge=0)
    max_body_mb: float = _key(64.0, "The largest request, in megabytes.", gt=0, le=100_000)
    timeout: float = _key(
        60.0, "Seconds after which a question is given up, and within which a request has to have come.", gt=0, le=3600
    )
    concurrency: int = _key(32, "How many questions are worked on at the same time.", ge=1, le=1_000)
    waiting: int = _key(256, "How many more may wait; others are told to come back.", ge=0, le=100_000)
    cors: tuple[Annotated[str, AfterValidator(_origin)], ...] = _key(
        (), "The origins whose pages may use the API from a browser."
    )
    log: Literal["text", "json"] = _key("text", "How requests are logged, on standard error; contents never are.")
    traces: Annotated[str, AfterValidator(_address)] | None = _key(
        None, "An OpenTelemetry collector that gets traces over HTTP, such as http://localhost:4318."
    )
    shutdown: float = _key(20.0, "Seconds that requests have to end when the server is stopped.", ge=0, le=3600)
