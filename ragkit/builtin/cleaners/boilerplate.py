"""The cleaner `boilerplate`: what a page carries for reasons of its own.

It would rather leave a line than take one that says something, so it takes whole lines only, and never from code, headings
or tables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from ragkit.builtin.cleaners.base import TextCleaner, is_source_code
from ragkit.text import PAGE_BREAK, fences

if TYPE_CHECKING:
    from ragkit.builtin.cleaners import BoilerplateOptions

_MIN_PAGES = 3
_SHARE = 0.4
"""Of the pages a header must be on: left and right pages often have one each."""
_EDGE_LINES = 3
_MAX_CHARS = 120

_PAGE_WORD = r"(?:page|p\.|pg\.|seite|s\.|página|pagina|pág\.|sida|side|strona)\s*"
_TOTAL = r"(?:\s*(?:/|of|von|de|sur|di|av)\s*\d{1,6})?"
_NUMBER_LAST = re.compile(
    rf"(?P<text>(?:.{{0,100}}?(?:\s{{2,}}|\t|\s[|·•–—-]\s))?)\W?\s*(?:{_PAGE_WORD})?(?P<number>\d{{1,6}}){_TOTAL}\s*\W?",
    re.IGNORECASE,
)
_NUMBER_FIRST = re.compile(
    rf"(?:{_PAGE_WORD})?(?P<number>\d{{1,6}}){_TOTAL}(?P<text>(?:\s{{2,}}|\t|\s[|·•–—-]\s).{{0,100}})", re.IGNORECASE
)
_STRUCTURE = re.compile(r"\s*(?:#|\||```|~~~)")
_LINK = re.compile(r"!?\[([^\]\n]{0,200})\]\([^)\s]{0,500}\)")
_NAVIGATION = re.compile(r"\s*(?:[-*+•]\s+)?(?:\[[^\]\n]{1,25}\]\([^)\s]{0,500}\)[\s|·•>»,-]{0,5}){1,20}")
_MIN_NAVIGATION = 4
_MAX_WORDS = 3
_AROUND = re.compile(r"^[\s>*_+•·|-]+|[\s*_!.…→»›|]+$")
_COOKIES = re.compile(
    r"(?:we|this (?:web)?site|our (?:web)?site|diese (?:web)?seite|wir|nous|ce site)\b.{0,40}\bcookies?\b"
    r"(?=.{0,300}(?:experience|consent|accept|agree|continu|policy|erlebnis|zustimm|datenschutz|accepte|navigation)).{0,300}",
    re.IGNORECASE,
)
_PHRASES = re.compile(
    r"(?:accept|reject|allow|manage|decline)(?: all| non-essential)? cookies|cookie (?:settings|preferences|notice)"
    r"|(?:subscribe|sign up) (?:to|for) (?:our|the|my) (?:\w+ )?(?:newsletter|mailing list|blog|feed|channel)"
    r"|(?:subscribe|sign up) (?:now|here|today)|(?:share|tweet|pin|print) this(?: (?:article|post|page|story|on .{1,30}))?"
    r"|share (?:on|via|to) (?:facebook|twitter|x|linkedin|reddit|whatsapp|e-?mail|pinterest|telegram|mastodon|bluesky)"
    r"|follow us(?: on .{1,60})?|like us on facebook|skip to (?:the )?(?:main )?content|skip to navigation|back to top"
    r"|(?:read|show|load) more|continue reading|leave a (?:comment|reply)|(?:log|sign) in to comment|advertisement"
    r"|sponsored content|\d+ (?:shares|comments|likes)|© ?.{0,100}|.{0,100}\ball rights reserved"
    r"|alle cookies akzeptieren|cookie-einstellungen|newsletter abonnieren|artikel (?:teilen|drucken)|nach oben|weiterlesen"
    r"|zum inhalt springen|.{0,100}\balle rechte vorbehalten"
    r"|accepter (?:tous les )?cookies|partager cet article|haut de page|lire la suite|.{0,100}\btous droits réservés",
    re.IGNORECASE,
)
_LINKED = re.compile(
    r"(?:privacy|cookie) policy|privacy notice|terms (?:of (?:use|service)|and conditions)|subscribe|newsletter"
    r"|(?:log|sign) (?:in|up)"
    r"|(?:previous|next) (?:article|post|page)|related (?:articles|posts)|impressum|datenschutz(?:erklärung)?|mentions légales",
    re.IGNORECASE,
)
"""What is noise only where the whole line is a link: without one it could be a step of a guide."""
_BREADCRUMBS = re.compile(r"(?:home|start|startseite|accueil)(?:\s*[>»›/]\s*[^>»›/\n]{1,60}){1,8}", re.IGNORECASE)


class BoilerplateCleaner(TextCleaner):
    """Takes out running headers and footers, and lines that web pages put around their text."""

    _options: BoilerplateOptions = PrivateAttr()
    _lines: frozenset[str] = PrivateAttr()

    def __init__(self, options: BoilerplateOptions) -> None:
        super().__init__()
        self._options = options
        self._lines = frozenset(_plain(line) for line in options.lines)

    def cleaned(self, text: str, metadata: Mapping[str, Any]) -> str:
        """The text without those lines; its pages stay pages."""
        if is_source_code(metadata):
            return text
        pages = [page.split("\n") for page in text.split(PAGE_BREAK)]
        if self._options.pages and len(pages) >= _MIN_PAGES:
            pages = _without_edges(pages)
        text = PAGE_BREAK.join("\n".join(lines) for lines in pages)
        return self._without_lines(text, metadata.get("format") == "markdown") if self._options.web or self._lines else text

    def _without_lines(self, text: str, markdown: bool) -> str:
        lines = text.split("\n")
        code = list(_code(text, lines)) if markdown else [False] * len(lines)
        kept = [line for line, is_code in zip(lines, code, strict=True) if is_code or not self._is_noise(line)]
        if self._options.web and markdown:
            kept = _without_navigation(kept)
        return "\n".join(kept)

    def _is_noise(self, line: str) -> bool:
        if not line.strip() or PAGE_BREAK in line or len(line) > 3 * _MAX_CHARS or _STRUCTURE.match(line):
            return False
        words = _plain(line)
        if words in self._lines:
            return True
        if not self._options.web or not words:
            return False
        linked = _NAVIGATION.fullmatch(line) and _LINKED.fullmatch(words)
        return bool(linked or _PHRASES.fullmatch(words) or _COOKIES.fullmatch(words))


def _without_edges(pages: Sequence[list[str]]) -> list[list[str]]:
    """The pages without the lines at their tops and ends that many of them share, page numbers included."""
    counts: Counter[str] = Counter()
    for number, lines in enumerate(pages):
        filled = [line for line in lines if line.strip()]
        edge = {*filled[:_EDGE_LINES], *filled[-_EDGE_LINES:]}
        counts.update({form for line in edge for form in _forms(line, number)})
    needed = max(_MIN_PAGES, _SHARE * len(pages))

    def is_running(line: str, number: int) -> bool:
        return any(counts[form] >= needed for form in _forms(line, number))

    found = []
    for number, lines in enumerate(pages):
        running = [any(counts[form] >= needed for form in _forms(line, number)) for line in lines]
        start = _running_lines(lines, running)
        end = len(lines) - _running_lines(lines[::-1], running[::-1])
        found.append(lines[start:end] if any(line.strip() for line in lines[start:end]) else lines)
    return found


def _forms(line: str, page: int) -> Iterator[str]:
    """The line as it is; and if it looks like one with a page's number, that as its distance from `page`: it has to grow with
    the pages. Other numbers have to be the same, so the rows of a table differ, and `Exercise 3` is no page."""
    if len(line) > _MAX_CHARS or _STRUCTURE.match(line):
        return
    plain = " ".join(line.split()).lower()
    if any(map(str.isalpha, plain)):
        yield plain
    for pattern in (_NUMBER_LAST, _NUMBER_FIRST):
        if match := pattern.fullmatch(line.strip()):
            yield f"{match['text'].strip().lower()}#{int(match['number']) - page}#{pattern is _NUMBER_LAST}"


def _running_lines(lines: Sequence[str], running: Sequence[bool]) -> int:
    """How many lines at the start are running ones and the space below them; of the former, three at most."""
    taken, end = 0, 0
    for place, line in enumerate(lines):
        if line.strip() and (taken == _EDGE_LINES or not running[place]):
            return place if taken else 0
        taken += bool(line.strip())
        end = place + 1
    return end if taken else 0


def _without_navigation(lines: list[str]) -> list[str]:
    """Without the menus before and behind the text: four lines or more that are nothing but links of a few words."""
    first = next((place for place, line in enumerate(lines) if line.strip()), 0)
    if lines and PAGE_BREAK not in lines[first] and _BREADCRUMBS.fullmatch(_plain(lines[first])):
        lines = lines[first + 1 :]
    for _ in range(2):  # from the start, then from the end
        end = next((place for place, line in enumerate(lines) if not _is_around(line)), 0)
        if sum(bool(line.strip()) for line in lines[:end]) >= _MIN_NAVIGATION:
            lines = lines[end:]
        lines = lines[::-1]
    return lines


def _is_around(line: str) -> bool:
    """Whether a line is empty, or one of a menu."""
    if PAGE_BREAK in line or not line.strip():
        return PAGE_BREAK not in line
    return bool(_NAVIGATION.fullmatch(line)) and all(len(words.split()) <= _MAX_WORDS for words in _LINK.findall(line))


def _plain(line: str) -> str:
    """The words of a line, without links' targets, list marks and emphasis around it, in lower case."""
    return _AROUND.sub("", _LINK.sub(r"\1", line)).strip().lower()


def _code(text: str, lines: Sequence[str]) -> Iterator[bool]:
    """Whether each line is within a fence."""
    spans, place = iter([*fences(text), (len(text) + 1, len(text) + 1)]), 0
    start, end = next(spans)
    for line in lines:
        while place > end:
            start, end = next(spans)
        yield start <= place <= end
        place += len(line) + 1
