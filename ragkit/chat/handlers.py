"""What the page does, without Gradio: each handler takes an owner and what the browser sent, and gives parts of the page anew.

Nothing that a browser sends is believed: a conversation is its owner's or there is none, a file lies where files are sent to.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any

from ragkit.chat import export
from ragkit.chat.asking import Running, followed
from ragkit.chat.evidence import passage
from ragkit.chat.render import Pages
from ragkit.chat.settings import Choices
from ragkit.chat.uploads import Taking
from ragkit.errors import ConversationError, DocumentError, QueryError, RagkitError
from ragkit.pipeline import Exchange, Pipeline
from ragkit.query.answer import Answer
from ragkit.query.followup import LAST_TURNS
from ragkit.state.conversations import Conversation

Sent = Mapping[str, Any]
Parts = dict[str, Any]
"""Parts of the page by name, each with its new content; see `ragkit.chat.page.PARTS`."""

FAILED = "The documents cannot answer now"
ASK = "ask whoever runs this page; the server's log has the reason"
BROKEN = "Something went wrong here. It was written to the server's log; try again."

_log = logging.getLogger(__name__)


class Handlers:
    """The page's work for everybody who is at it. The methods that are not async block."""

    def __init__(
        self, pipeline: Pipeline, pages: Pages, taking: Taking, may_upload: Callable[[str], bool], *, discreet: bool
    ) -> None:
        """A `discreet` page is for others than those who run it: it tells them nothing of how the server is set up."""
        self._discreet = discreet
        self._pipeline = pipeline
        self._pages = pages
        self._taking = taking
        self._may_upload = may_upload
        self._running = Running()

    # conversations

    def open(self, owner: str, sent: Sent) -> Parts:
        """A conversation, or a new one where none is named; also the list of all."""
        conversation = _text(sent, "conversation")
        try:
            return self._view(owner, self._pipeline.conversations.get(owner, conversation) if conversation else None)
        except ConversationError:
            gone = "There is no such conversation; it may have been deleted."
            return {**self._view(owner, None), **_signal("error", text=gone)}

    def rename(self, owner: str, sent: Sent) -> Parts:
        """Another title."""
        renamed = self._pipeline.conversations.rename(owner, _text(sent, "conversation"), _text(sent, "title"))
        return {"side": self._side(owner, renamed.id), "bar": self._pages.bar(renamed)}

    def delete(self, owner: str, sent: Sent) -> Parts:
        """Forget a conversation; what the page shows then is a new one."""
        conversation = _text(sent, "conversation")
        self._running.stop(owner, conversation)
        self._pipeline.conversations.delete(owner, conversation)
        return {**self._view(owner, None), **_signal("notice", text="The conversation is deleted.")}

    def export(self, owner: str, sent: Sent) -> Parts:
        """A file for the browser to save."""
        conversations, wanted = self._pipeline.conversations, _text(sent, "conversation")
        conversation, turns = conversations.get(owner, wanted), conversations.turns(owner, wanted)
        if sent.get("format") == "json":
            text, kind, ending = export.as_json(conversation, turns), "application/json", "json"
        else:
            text, kind, ending = export.as_markdown(conversation, turns), "text/markdown", "md"
        return _signal("save", name=export.file_name(conversation, ending), mime=kind, text=text)

    def rate(self, owner: str, sent: Sent) -> Parts:
        """What somebody thinks of an answer."""
        verdict, comment = sent.get("verdict"), _text(sent, "comment").strip()
        self._pipeline.conversations.rate(
            owner, _text(sent, "conversation"), _number(sent, "turn"), verdict if verdict in (1, -1) else None, comment
        )
        return _signal("notice", text="Thank you, noted." if verdict else "Taken back.")

    def settings(self, owner: str, sent: Sent) -> Parts:
        """Settings for the questions that follow; a conversation that there is not yet begins with them."""
        choices, conversations = Choices.of(self._pipeline), self._pipeline.conversations
        settings = choices.chosen(sent)
        wanted = _text(sent, "conversation")
        begun = None if wanted else conversations.start(owner)
        conversation = conversations.set(owner, begun.id if begun else wanted, settings)
        shown = {"tune": self._pages.settings(choices, conversation.settings), "bar": self._pages.bar(conversation)}
        return {**self._view(owner, conversation), **shown} if begun else shown

    def source(self, owner: str, sent: Sent) -> Parts:
        """A citation or a hit of an answer in its document, and how it came there."""
        number = _number(sent, "turn")
        turns = self._pipeline.conversations.turns(owner, _text(sent, "conversation"))
        answer = next((turn.answer for turn in turns if turn.number == number), None)
        shown = answer and passage(self._pipeline, answer, number=_number(sent, "n"), rank=_number(sent, "rank") or 1)
        if not answer or not shown:
            if answer and not answer.get("hits"):
                return {"panel": self._pages.panel(None, answer, number)}
            raise ConversationError("there is no such passage", cure="open the conversation again")
        return {"panel": self._pages.panel(shown, answer, number)}

    # questions

    async def ask(self, owner: str, sent: Sent) -> AsyncGenerator[Parts, None]:
        """Answer a question step by step. What fails stands in the conversation, with what came before it."""
        question, text = _text(sent, "question"), ""
        try:
            conversation = await asyncio.to_thread(self._conversation, owner, _text(sent, "conversation"), question)
            with self._running.answering(owner, conversation.id, _text(sent, "page")) as stop:
                if not _text(sent, "conversation"):
                    yield await asyncio.to_thread(self._view, owner, conversation)
                yield {"live": self._pages.live(question, "")}
                wanted = await asyncio.to_thread(self._wanted, owner, conversation)
                pieces = self._pipeline.astream(question, **wanted)
                async with aclosing(followed(stop, pieces)) as answering:
                    async for piece in answering:
                        if isinstance(piece, Answer):
                            yield await asyncio.to_thread(self._answered, owner, conversation, question, piece)
                            return
                        text = piece
                        yield {"live": self._pages.live(question, text)}
                yield {"live": self._pages.live(question, text, stopped=True)}
        except RagkitError as error:
            yield {"live": self._pages.live(question, text, error=self._public(error))}
        except Exception:  # noqa: BLE001 - as a sentence on the page; the log has the rest
            _log.exception("a question failed")
            yield {"live": self._pages.live(question, text, error=RagkitError(BROKEN))}

    async def stop(self, owner: str, sent: Sent) -> Parts:
        """End an answer."""
        self._running.stop(owner, _text(sent, "conversation"))
        return {}

    async def left(self, page: str) -> None:
        """Somebody closed or reloaded a page: its answer is not waited for."""
        self._running.left(page)

    def _conversation(self, owner: str, wanted: str, question: str) -> Conversation:
        if not question.strip():
            raise QueryError("the question is empty", cure="write what you want to know")
        conversations = self._pipeline.conversations
        return conversations.get(owner, wanted) if wanted else conversations.start(owner, question)

    def _answered(self, owner: str, conversation: Conversation, question: str, answer: Answer) -> Parts:
        """Keep an answer; a conversation that was deleted meanwhile refuses it."""
        self._pipeline.conversations.add(owner, conversation.id, question, answer.to_dict())
        return self._view(owner, conversation)

    def _wanted(self, owner: str, conversation: Conversation) -> dict[str, Any]:
        """The keywords of the next question of a conversation."""
        turns = self._pipeline.conversations.turns(owner, conversation.id, LAST_TURNS)
        history = [Exchange(turn.question, str(turn.answer.get("answer", ""))) for turn in turns]
        return {**Choices.of(self._pipeline).wanted(conversation.settings), "history": history}

    # files

    async def upload(self, owner: str, sent: Sent) -> AsyncGenerator[Parts, None]:
        """Take the files that were sent, one after another, and say how far each has come."""
        told: list[dict[str, Any]] = []
        for file in _files(sent):
            name = _text(file, "name")
            told.append({"name": name, "state": "running", "text": "being read"})
            yield {"uploads": self._pages.uploads(told)}
            steps_: queue.SimpleQueue[str] = queue.SimpleQueue()
            taking = asyncio.ensure_future(asyncio.to_thread(self._take, owner, _text(file, "sent"), name, steps_))
            while not taking.done():
                await asyncio.wait({taking}, timeout=0.15)
                if (said := _last(steps_)) is not None and not taking.done():
                    told[-1] = {"name": name, "state": "running", "text": said}
                    yield {"uploads": self._pages.uploads(told)}
            told[-1] = taking.result()
            yield {"uploads": self._pages.uploads(told)}

    def _take(self, owner: str, path: str, name: str, said: queue.SimpleQueue[str]) -> dict[str, Any]:
        def progress(stage: str, done: int, total: int | None, detail: str = "") -> None:
            said.put(f"{stage}: {done}" + (f" of {total}" if total else ""))

        try:
            if not self._pipeline.config.chat.uploads or not self._may_upload(owner):
                self._taking.drop(path, name)
                raise DocumentError("uploads are switched off", cure="ask whoever runs this page")
            taken = self._taking.take(path, name, progress)
        except RagkitError as error:
            return {"name": name, "state": "failed", "text": _told(self._public(error)).removeprefix(f"{name}: ")}
        except Exception:  # noqa: BLE001 - as above
            _log.exception("an upload failed")
            return {"name": name, "state": "failed", "text": BROKEN}
        number = f", {taken.chunks} passage{'s' * (taken.chunks > 1)}" if taken.chunks else ""
        called = f" as {taken.uri}" if taken.uri != name else ""
        return {"name": name, "state": "done", "text": f"{taken.outcome}{called}{number}; ask about it"}

    # the page

    def told_of(self, error: Exception) -> Parts:
        """What the page says of an error that left a handler."""
        if isinstance(error, RagkitError):
            return _signal("error", text=_told(self._public(error)))
        _log.error("the chat page failed", exc_info=error)
        return _signal("error", text=BROKEN)

    def _public(self, error: RagkitError) -> RagkitError:
        """What may be told of an error: all of it where it is about what somebody asked or handed over."""
        if not self._discreet or isinstance(error, ConversationError | DocumentError | QueryError):
            return error
        _log.error("%s: %s", type(error).__name__, error)
        return RagkitError(FAILED, cure=ASK)

    def _view(self, owner: str, conversation: Conversation | None) -> Parts:
        """Everything that shows a conversation."""
        choices = Choices.of(self._pipeline)
        turns = self._pipeline.conversations.turns(owner, conversation.id) if conversation else []
        return {
            "side": self._side(owner, conversation.id if conversation else ""),
            "bar": self._pages.bar(conversation),
            "thread": self._pages.thread(conversation, turns, self._examples() if not turns else ()),
            "live": self._pages.live("", ""),
            "tune": self._pages.settings(choices, conversation.settings if conversation else {}),
        }

    def _side(self, owner: str, opened: str) -> str:
        return self._pages.side(self._pipeline.conversations.of(owner), opened)

    def _examples(self) -> tuple[str, ...]:
        """Questions to begin with: those that the configuration gives, else some about titles of documents."""
        if self._pipeline.config.chat.examples:
            return self._pipeline.config.chat.examples
        found: list[str] = []
        with suppress(RagkitError), self._pipeline.reader() as reader:
            for document in reader.documents(texts=False):
                title = " ".join(document.title.split())
                if 3 <= len(title) <= 60 and (question := f"What do the documents say about “{title}”?") not in found:
                    found.append(question)
                if len(found) == 3:
                    break
        return tuple(found)


def _told(error: RagkitError) -> str:
    return f"{error.message} → {error.cure}" if error.cure else error.message


def _signal(kind: str, **values: str) -> Parts:
    """Something for the page's script to do, once."""
    return {"signal": {"kind": kind, "at": time.time_ns(), **values}}


def _last(said: queue.SimpleQueue[str]) -> str | None:
    last = None
    with suppress(queue.Empty):
        while True:
            last = said.get_nowait()
    return last


def _text(sent: Sent, name: str) -> str:
    value = sent.get(name)
    return value if isinstance(value, str) else ""


def _number(sent: Sent, name: str) -> int:
    value = sent.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _files(sent: Sent) -> list[Sent]:
    files = sent.get("files")
    return [file for file in files if isinstance(file, Mapping)] if isinstance(files, list) else []
