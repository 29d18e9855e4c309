"""Parts of the page as HTML. The templates escape whatever they are given; only `Markdown` and they make HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader

from ragkit.chat.markdown import Markdown, link_leads_out

if TYPE_CHECKING:
    from ragkit.chat.evidence import Shown
    from ragkit.chat.settings import Choices
    from ragkit.errors import RagkitError
    from ragkit.state.conversations import Conversation, Turn

TEMPLATES = Path(__file__).parent / "assets" / "templates"


class Pages:
    """Renders the parts of the page that is called `title`. Threads may share it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._markdown = Markdown()
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=ChainableUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.tests["link"] = link_leads_out
        self._templates.filters["number"] = _number

    def side(self, conversations: Sequence[Conversation], opened: str) -> str:
        """The list of conversations."""
        return self._made("side.html", title=self._title, conversations=conversations, opened=opened)

    def bar(self, conversation: Conversation | None) -> str:
        """The line above the conversation: its title, and what can be done with it."""
        return self._made("bar.html", title=self._title, conversation=conversation)

    def waiting(self) -> str:
        """The conversation before the first one is there."""
        return self._made("waiting.html")

    def thread(self, conversation: Conversation | None, turns: Sequence[Turn], examples: Sequence[str]) -> str:
        """The turns of a conversation, or how to begin."""
        told = [{"turn": turn, "answer": turn.answer, "html": self._answer(turn)} for turn in turns]
        return self._made("thread.html", title=self._title, conversation=conversation, turns=told, examples=examples)

    def live(self, question: str, text: str, *, error: RagkitError | None = None, stopped: bool = False) -> str:
        """A question that is being answered, or that could not be answered to the end; empty without a question."""
        if not question and error is None:
            return ""
        html = self._markdown.render(text)
        return self._made("live.html", question=question, text=text, html=html, error=error, stopped=stopped)

    def composer(self, *, uploads: bool, signed_in: bool) -> str:
        """Where questions are written and files dropped."""
        return self._made("composer.html", uploads=uploads, signed_in=signed_in)

    def uploads(self, files: Iterable[Mapping[str, Any]]) -> str:
        """How far each file has come: `name`, `state` (`running`, `done` or `failed`) and `text`."""
        return self._made("uploads.html", files=files)

    def panel(self, shown: Shown | None, answer: Mapping[str, Any], turn: int) -> str:
        """A passage in its document, why it is here, and what the query did."""
        return self._made("panel.html", shown=shown, answer=answer, trace=answer.get("trace") or {}, turn=turn)

    def settings(self, choices: Choices, settings: Mapping[str, Any]) -> str:
        """The form of a conversation's settings, with the YAML that they amount to."""
        legs = {"dense", "keyword"} if "retriever" not in settings else {settings["retriever"]}
        return self._made(
            "settings.html", choices=choices, settings=settings, legs=legs, yaml=choices.yaml(settings),
            alpha=settings.get("alpha", choices.alpha), rerankers=settings.get("rerankers", choices.rerankers),
        )  # fmt: skip

    def _answer(self, turn: Turn) -> str:
        cited = {citation["n"] for citation in turn.answer.get("citations") or ()}
        return self._markdown.render(str(turn.answer.get("answer", "")), cited, turn.number)

    def _made(self, template: str, **values: Any) -> str:
        return self._templates.get_template(template).render(**values)


def _number(value: float | None) -> str:
    """A score with four digits that count; a dash for none."""
    return "–" if value is None else f"{value:.4g}"
