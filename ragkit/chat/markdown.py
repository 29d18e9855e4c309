"""Answers as HTML: a subset of Markdown, in which nothing of a text becomes HTML, and `[n]` becomes a button."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

SCHEMES = ("http", "https", "mailto")
_MARK = re.compile(r"\[(\d{1,4})\]")


def link_leads_out(address: str) -> bool:
    """Whether an address is one that a person may follow: a page on the web, or somebody to write to."""
    try:
        return urlsplit(address).scheme.lower() in SCHEMES
    except ValueError:
        return False


class Markdown:
    """Renders answers. Threads may share it."""

    def __init__(self) -> None:
        self._parser = parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
        parser.disable(["reference", "html_block", "html_inline"])
        setattr(parser, "validateLink", link_leads_out)  # noqa: B010 - its documented way; the types know a method only
        parser.inline.ruler.before("link", "citation", _citation)
        parser.add_render_rule("citation", _render_citation)
        parser.add_render_rule("link_open", _render_link)
        parser.add_render_rule("image", _render_image)
        parser.add_render_rule("heading_open", _render_heading)
        parser.add_render_rule("heading_close", _render_heading)

    def render(self, text: str, cited: Collection[int] = (), turn: int = 0) -> Markup:
        """`text` as HTML. The marks `[n]` of those `cited` are buttons that show what turn number `turn` cites."""
        return Markup(self._parser.render(text, {"cited": frozenset(cited), "turn": turn}))


def _citation(state: StateInline, silent: bool) -> bool:
    found = _MARK.match(state.src, state.pos)
    if found is None or state.linkLevel:
        return False
    if not silent:
        if state.pending.endswith(" "):
            state.pending = f"{state.pending[:-1]}\u00a0"  # a mark stays with what it is the source of
        state.push("citation", "", 0).meta = {"n": int(found[1])}
    state.pos = found.end()
    return True


def _render_citation(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    number = int(tokens[index].meta["n"])
    if number not in env["cited"]:
        return f'<span class="rk-mark">[{number}]</span>'
    return (
        f'<button type="button" class="rk-cite" data-act="cite" data-turn="{int(env["turn"])}" data-n="{number}" '
        f'aria-label="Source {number}">{number}</button>'
    )


def _render_link(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return Markup('<a href="{}" rel="noopener noreferrer nofollow" target="_blank">').format(tokens[index].attrGet("href"))


def _render_image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Its description: nothing is loaded."""
    return str(escape(tokens[index].content))


def _render_heading(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Below the headings of the page."""
    token = tokens[index]
    level = min(6, int(token.tag[1]) + 2)
    return f"<{'/' if token.nesting < 0 else ''}h{level}>"
