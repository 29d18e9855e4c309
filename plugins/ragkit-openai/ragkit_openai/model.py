"""LlamaIndex's `OpenAILike`, which sends no key where none belongs and takes no half answer for a whole one."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import openai
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.llms.openai_like import OpenAILike

from ragkit.errors import ComponentError
from ragkit_openai import OFFICIAL
from ragkit_openai.errors import explain

if TYPE_CHECKING:
    from ragkit_openai import OpenAIOptions

R = TypeVar("R", ChatResponse, CompletionResponse)

_AGAIN = "ask again; if that stays, look at the server's log"
_NO_KEY = "none"
"""What is sent where there is no key. Nothing at all would have LlamaIndex take OPENAI_API_KEY, whoever the server is."""


class ServedModel(OpenAILike):
    """A model behind an HTTP API. A streamed answer that stops before the server says that it is complete is an error."""

    _steady: bool = PrivateAttr(default=True)
    _retries: int = PrivateAttr(default=0)

    @classmethod
    def of(cls, options: OpenAIOptions) -> ServedModel:
        """The model that the options name."""
        given = options.api_key.get_secret_value() if options.api_key else ""
        key = given or (os.environ.get("OPENAI_API_KEY", "") if options.base_url == OFFICIAL else "")
        settings: dict[str, Any] = {
            "model": options.model,
            "api_base": options.base_url,
            "api_key": key or _NO_KEY,
            "max_tokens": options.max_tokens,
            "context_window": options.context_window,
            "timeout": options.timeout,
            "max_retries": 0,  # LlamaIndex would repeat what the client has repeated already
            "is_chat_model": options.chat,
            "additional_kwargs": dict(options.extra),
        }
        model = cls(**settings)
        model._steady, model._retries = options.temperature is not None, options.retries
        if options.temperature is not None:
            model.temperature = options.temperature
        return model

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "ragkit.ServedModel"

    def _get_credential_kwargs(self, is_async: bool = False) -> dict[str, Any]:
        if (self.api_base, self.api_key) == (OFFICIAL, _NO_KEY):
            raise ComponentError(
                "OpenAI's API wants a key, and there is none",
                component="openai",
                cure="set OPENAI_API_KEY, or llm.api_key to `${NAME}` of another variable; for another server set llm.base_url",
            )
        return {**super()._get_credential_kwargs(is_async), "max_retries": self._retries}

    def _get_model_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super()._get_model_kwargs(**kwargs)
        if not self._steady:  # some models refuse any but their own
            found.pop("temperature", None)
        return found

    def _chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        with self._told():
            found: ChatResponse = super()._chat(messages, **kwargs)
        return found

    def _complete(self, prompt: str, **kwargs: Any) -> CompletionResponse:
        with self._told():
            found: CompletionResponse = super()._complete(prompt, **kwargs)
        return found

    def _stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return self._whole(super()._stream_chat(messages, **kwargs))

    def _stream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseGen:
        return self._whole(super()._stream_complete(prompt, **kwargs))

    async def _achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        with self._told():
            found: ChatResponse = await super()._achat(messages, **kwargs)
        return found

    async def _acomplete(self, prompt: str, **kwargs: Any) -> CompletionResponse:
        with self._told():
            found: CompletionResponse = await super()._acomplete(prompt, **kwargs)
        return found

    async def _astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        return self._awhole(await super()._astream_chat(messages, **kwargs))

    async def _astream_complete(self, prompt: str, **kwargs: Any) -> CompletionResponseAsyncGen:
        return self._awhole(await super()._astream_complete(prompt, **kwargs))

    def _whole(self, pieces: Iterator[R]) -> Generator[R, None, None]:
        piece, ended = None, False
        with self._told():
            for piece in pieces:
                ended = ended or _ends(piece.raw)
                yield piece
        self._require(ended, begun=piece is not None)

    async def _awhole(self, pieces: AsyncIterator[R]) -> AsyncGenerator[R, None]:
        piece, ended = None, False
        with self._told():
            async for piece in pieces:
                ended = ended or _ends(piece.raw)
                yield piece
        self._require(ended, begun=piece is not None)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the client raises as an error that says what to do, and does not say the key."""
        try:
            yield
        except openai.OpenAIError as error:
            message, cure = explain(error, self.model, self.api_base or "", self.timeout)
            if self.api_key and self.api_key != _NO_KEY:
                message = message.replace(self.api_key, "***")
            raise ComponentError(message, component="openai", cure=cure) from None
        except httpx.HTTPError as error:  # in the middle of an answer
            raise ComponentError(f"the connection to {self.api_base} broke: {error}", component="openai", cure=_AGAIN) from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # LlamaIndex met something else
            raise self._no_answer() from error

    def _require(self, ended: bool, *, begun: bool) -> None:
        if not begun:
            raise self._no_answer()
        if not ended:
            raise ComponentError("the server stopped in the middle of its answer", component="openai", cure=_AGAIN)

    def _no_answer(self) -> ComponentError:
        cure = "check that llm.base_url speaks OpenAI's API: it often ends in /v1"
        return ComponentError(f"{self.api_base} answered with what is no answer", component="openai", cure=cure)


def _ends(raw: Any) -> bool:
    """Whether the server says with this piece that the answer is complete."""
    return any(choice.finish_reason for choice in getattr(raw, "choices", None) or ())
