"""Ollama as an LLM of ragkit: models that run on this machine, or on another one of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, SecretStr, field_validator

from ragkit import BuildContext, Component, Options, hookimpl, runtime, secret

if TYPE_CHECKING:
    from ragkit_ollama.model import OllamaModel


class OllamaOptions(Options):
    """The YAML keys of `llm: {use: ollama, …}`."""

    model_config = ConfigDict(hide_input_in_errors=True)  # somebody may write a key into `base_url`

    model: str = runtime(min_length=1, description="A model that was pulled, such as `qwen3:8b`.")
    base_url: str = runtime(default="http://localhost:11434", description="Where Ollama answers.")
    api_key: SecretStr | None = secret(default=None, description="Sent as a bearer token, for an Ollama behind a gate.")
    temperature: float | None = runtime(default=None, ge=0, le=2, description="By default what the model's file says.")
    max_tokens: int | None = runtime(default=None, ge=1, description="Tokens of an answer at most; by default no limit.")
    context_window: int = runtime(
        default=8_192,
        ge=1_024,
        description="Tokens that the model reads, its answer included. Ollama sets memory aside for as many, and cuts off more.",
    )
    timeout: float = runtime(
        default=120.0, gt=0, le=3_600, description="Seconds that Ollama may be silent; it loads a model with the first question."
    )
    keep_alive: str | None = runtime(default=None, description="How long the model stays loaded, such as `30m`.")
    thinking: bool | Literal["low", "medium", "high"] | None = runtime(
        default=None, description="Whether a model that can shall think first; its thoughts are not part of the answer."
    )
    extra: dict[str, Any] = runtime(default={}, description="More of Ollama's options, such as `{top_p: 0.9}`.")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        address = urlsplit(url.strip())
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("must be an address such as http://localhost:11434")
        if address.username is not None or address.password is not None:
            raise ValueError("must not have a key in it; write it as `api_key`")
        return address.geturl().rstrip("/")


def build(options: OllamaOptions, context: BuildContext) -> OllamaModel:
    """The model; Ollama is first asked with the first question."""
    from ragkit_ollama.model import OllamaModel

    return OllamaModel.of(options)


@hookimpl
def ragkit_llms() -> list[Component]:
    """Offer `ollama`."""
    return [
        Component(
            "ollama",
            OllamaOptions,
            build,
            summary="models that Ollama serves, on this machine or another",
            capabilities={"async": True, "streams": True},
        )
    ]
