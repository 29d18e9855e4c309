"""The built-in cleaners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from ragkit import BuildContext, CleanerOptions, Component, hookimpl, identity

if TYPE_CHECKING:
    from llama_index.core.schema import TransformComponent


class WhitespaceOptions(CleanerOptions):
    """`whitespace` has no options of its own."""


def build_whitespace(options: WhitespaceOptions, context: BuildContext) -> TransformComponent:
    """A cleaner of white space, control characters and Unicode forms."""
    from ragkit.builtin.cleaners.whitespace import WhitespaceCleaner

    return WhitespaceCleaner()


class UnicodeOptions(CleanerOptions):
    """`unicode`: one form for what can be written in several. Code stays as it is."""

    form: Literal["NFC", "NFKC"] = identity(
        "NFC", description="the normal form; NFKC also makes full-width letters, `²` and `…` plain"
    )
    ligatures: bool = identity(True, description="write the ligatures of PDFs (`ﬁ`, `ﬄ`) as letters")
    soft_hyphens: bool = identity(
        True, description="take out soft hyphens, and join the words that they divide at the end of a line"
    )
    quotes: bool = identity(False, description="write curly quotation marks as straight ones")


def build_unicode(options: UnicodeOptions, context: BuildContext) -> TransformComponent:
    """A cleaner of Unicode forms."""
    from ragkit.builtin.cleaners.unicode import UnicodeCleaner

    return UnicodeCleaner(options)


class BoilerplateOptions(CleanerOptions):
    """`boilerplate`: whole lines that are not part of the text. Code, headings and tables stay as they are."""

    pages: bool = identity(
        True,
        description="take out running headers, footers and page numbers: what 40 % of the pages share, and at least 3",
    )
    web: bool = identity(
        True, description="take out lines about cookies, subscribing, sharing and rights, and menus before and behind the text"
    )
    lines: tuple[str, ...] = identity((), description="further lines to take out, whole and without regard to case")

    @field_validator("lines")
    @classmethod
    def _said(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        if not all(any(map(str.isalnum, line)) and "\n" not in line for line in lines):
            raise ValueError("each has to be one line with a word in it")
        return lines


def build_boilerplate(options: BoilerplateOptions, context: BuildContext) -> TransformComponent:
    """A cleaner of headers, footers and what web pages put around their text."""
    from ragkit.builtin.cleaners.boilerplate import BoilerplateCleaner

    return BoilerplateCleaner(options)


class ContactsOptions(CleanerOptions):
    """`contacts`: e-mail addresses, in code and metadata too, and links, which stay in code."""

    emails: Literal["keep", "mask", "remove"] = identity("mask", description="e-mail addresses; the mask is `[email]`")
    urls: Literal["keep", "shorten", "remove"] = identity(
        "keep",
        description="links: shortened, a link keeps its words and a bare URL its host; removed, a bare URL goes altogether",
    )


def build_contacts(options: ContactsOptions, context: BuildContext) -> TransformComponent:
    """A cleaner of e-mail addresses and links."""
    from ragkit.builtin.cleaners.contacts import ContactsCleaner

    return ContactsCleaner(options)


@hookimpl
def ragkit_cleaners() -> list[Component]:
    """`whitespace`, `unicode`, `boilerplate` and `contacts`."""
    return [
        Component(
            "whitespace",
            WhitespaceOptions,
            build_whitespace,
            summary="trailing space, runs of blank lines, control characters, Unicode NFC; indentation stays",
        ),
        Component(
            "unicode", UnicodeOptions, build_unicode, summary="normal form, ligatures, soft hyphens, curly quotation marks"
        ),
        Component(
            "boilerplate",
            BoilerplateOptions,
            build_boilerplate,
            summary="running headers and footers, lines about cookies and sharing, menus",
        ),
        Component("contacts", ContactsOptions, build_contacts, summary="masks e-mail addresses, shortens links"),
    ]
