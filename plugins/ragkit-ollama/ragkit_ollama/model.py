"""LlamaIndex's `Ollama`, which takes no half answer for a whole one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from llama_index.core.llms import ChatMessage, ChatResponse, ChatResponseAsyncGen, ChatResponseGen
from llama_index.llms.ollama import Ollama
from ollama import ResponseError

from ragkit.errors import ComponentError

if TYPE_CHECKING:
    from ragkit_ollama import OllamaOptions


_NOT_FOUND = 404


class OllamaModel(Ollama):
    """A model of Ollama. A streamed answer that stops before Ollama says that it is complete is an error."""

    @classmethod
    def of(cls, options: OllamaOptions) -> OllamaModel:
        """The model that the options name."""
        limit = {} if options.max_tokens is None else {"num_predict": options.max_tokens}
        key = options.api_key.get_secret_value() if options.api_key else ""
        return cls(
            model=options.model,
            base_url=options.base_url,
            temperature=options.temperature,
            context_window=options.context_window,
            request_timeout=options.timeout,
            keep_alive=options.keep_alive,
            thinking=options.thinking,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            additional_kwargs={**limit, **options.extra},
        )

    @classmethod
    def class_name(cls) -> str:
        """The name in LlamaIndex's serialised form."""
        return "ragkit.OllamaModel"

    @property
    def _model_kwargs(self) -> dict[str, Any]:
        return {key: value for key, value in super()._model_kwargs.items() if value is not None}

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As LlamaIndex's, with errors that say what to do."""
        with self._told():
            found: ChatResponse = super().chat(messages, **kwargs)
        return found

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """As `chat`."""
        with self._told():
            found: ChatResponse = await super().achat(messages, **kwargs)
        return found

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """As `chat`, in pieces, and checked to its end."""
        return self._whole(super().stream_chat(messages, **kwargs))

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """As `stream_chat`."""
        return self._awhole(await super().astream_chat(messages, **kwargs))

    def _whole(self, pieces: Iterator[ChatResponse]) -> ChatResponseGen:
        ended = False
        with self._told():
            for piece in pieces:
                ended = ended or _ends(piece)
                yield piece
        _require(ended)

    async def _awhole(self, pieces: AsyncIterator[ChatResponse]) -> ChatResponseAsyncGen:
        ended = False
        with self._told():
            async for piece in pieces:
                ended = ended or _ends(piece)
                yield piece
        _require(ended)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the client raises as an error that says what to do."""
        try:
            yield
        except ResponseError as error:
            message, cure = f"Ollama at {self.base_url} answered {error.status_code}: {error.error}", "look at Ollama's log"
            if error.status_code == _NOT_FOUND:
                message = f"Ollama at {self.base_url} does not know the model {self.model!r}"
                cure = f"run `ollama pull {self.model}`, or check llm.model"
            raise ComponentError(message, component="ollama", cure=cure) from error
        except httpx.TimeoutException as error:
            told = f"Ollama at {self.base_url} was silent for {self.request_timeout:g} s"
            raise ComponentError(told, component="ollama", cure="raise llm.timeout; loading a large model takes long") from error
        except (ConnectionError, httpx.HTTPError) as error:
            told = f"Ollama at {self.base_url} cannot be reached: {error}".splitlines()[0]
            raise ComponentError(told, component="ollama", cure="run `ollama serve`, or check llm.base_url") from error


def _ends(piece: ChatResponse) -> bool:
    return bool(piece.raw and dict(piece.raw).get("done"))


def _require(ended: bool) -> None:
    if not ended:
        told = "Ollama stopped in the middle of its answer"
        raise ComponentError(told, component="ollama", cure="ask again; if that stays, look at Ollama's log")
