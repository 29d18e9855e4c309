"""What the client of OpenAI's API raises, in words that say what to do."""

from __future__ import annotations

import openai

_MOST = 300
"""Characters of a server's own words that are passed on."""


def explain(error: openai.OpenAIError, model: str, base_url: str, timeout: float) -> tuple[str, str]:
    """What went wrong, and the cure."""
    match error:
        case openai.APITimeoutError():
            return f"{base_url} was silent for {timeout:g} s", "raise llm.timeout, or ask for less: a lower top_k, llm.max_tokens"
        case openai.APIConnectionError():
            return f"{base_url} cannot be reached: {_cause(error)}", "check llm.base_url, and that the server runs"
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"{base_url} refuses the key ({error.status_code})", "check llm.api_key, or the variable that it names"
        case openai.NotFoundError():
            return f"{base_url} does not know the model {model!r}: {_words(error)}", "check llm.model and llm.base_url"
        case openai.RateLimitError():
            return f"{base_url} takes no more requests for now: {_words(error)}", "ask again later, or raise llm.retries"
        case openai.APIStatusError():
            return f"{base_url} answered {error.status_code}: {_words(error)}", "check the keys under llm"
        case _:
            return f"{base_url} answered with what is no answer: {_words(error)}", "check that llm.base_url speaks OpenAI's API"


def _words(error: openai.OpenAIError) -> str:
    """The server's message in one line."""
    body = getattr(error, "body", None)
    told = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(told or error).split())[:_MOST]


def _cause(error: openai.APIConnectionError) -> str:
    return " ".join(str(error.__cause__ or error).split())[:_MOST]
