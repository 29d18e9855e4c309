"""OpenAI's API as an LLM of ragkit: the API itself, and every server that speaks it (vLLM, llama.cpp, LM Studio, Ollama)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, field_validator

from ragkit import BuildContext, Component, Options, hookimpl, runtime, secret

if TYPE_CHECKING:
    from ragkit_openai.model import ServedModel

OFFICIAL = "https://api.openai.com/v1"


class OpenAIOptions(Options):
    """The YAML keys of `llm: {use: openai, …}`."""

    model_config = ConfigDict(hide_input_in_errors=True)  # somebody may write a key into `base_url`

    model: str = runtime(min_length=1, description="The model's name, as the server has it.")
    base_url: str = runtime(
        default=OFFICIAL, description="Where the API lies, such as `http://localhost:8000/v1` for a server of one's own."
    )
    api_key: SecretStr | None = secret(
        default=None,
        description="The API key. Left out, the variable OPENAI_API_KEY for OpenAI itself, and none for other servers.",
    )
    temperature: float | None = runtime(default=None, ge=0, le=2, description="By default what the server takes.")
    max_tokens: int | None = runtime(
        default=None, ge=1, description="Tokens of an answer at most; by default what the server allows."
    )
    context_window: int = runtime(default=32_768, ge=1_024, description="Tokens that the model reads, its answer included.")
    timeout: float = runtime(
        default=60.0, gt=0, le=3_600, description="Seconds that the server may be silent: before an answer, and within it."
    )
    retries: int = runtime(
        default=2, ge=0, le=10, description="How often a request is repeated that was refused, or had no answer."
    )
    chat: bool = runtime(default=True, description="Whether the server has `/chat/completions`; else `/completions` is asked.")
    extra: dict[str, Any] = runtime(default={}, description="More fields of the request, such as `{reasoning_effort: low}`.")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        address = urlsplit(url.strip())
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("must be an address such as https://api.openai.com/v1 or http://localhost:8000/v1")
        if address.username is not None or address.password is not None:
            raise ValueError("must not have a key in it; write it as `api_key`")
        return address.geturl().rstrip("/")


def build(options: OpenAIOptions, context: BuildContext) -> ServedModel:
    """The model; the server is first asked, and the key first needed, with the first question."""
    from ragkit_openai.model import ServedModel

    return ServedModel.of(options)


@hookimpl
def ragkit_llms() -> list[Component]:
    """Offer `openai`."""
    return [
        Component(
            "openai",
            OpenAIOptions,
            build,
            summary="OpenAI's API, or a server that speaks it: vLLM, llama.cpp, LM Studio",
            capabilities={"async": True, "streams": True},
        )
    ]
