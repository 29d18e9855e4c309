"""Where a text is cut: words and the parts of identifiers, pairs of characters in scripts without spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

# Scripts that write no space between words (Korean does, but glues particles to them).
_PAIRED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー々〆]"
_LETTER = rf"(?:(?!{_PAIRED})[\p{{L}}\p{{M}}\p{{N}}_])"
# A run of such a script, or a word, or words joined by single dots: `v1.2.3`, `app.include_router`.
_TOKEN = regex.compile(rf"{_PAIRED}+|{_LETTER}+(?:\.{_LETTER}+)*")
_RUN = regex.compile(_PAIRED)
_HAN = regex.compile(r"\p{Han}")
_ENGLISH_ENDING = regex.compile(r"(?<=\p{L})['’](?:s|t|d|m|ll|re|ve)\b", regex.IGNORECASE)
# The words of a name: `HTTPServer2` is HTTP and Server2, `validate_email` validate and email.
_WORD = regex.compile(r"\p{Lu}{2,}(?=\p{Lu}\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{M}\p{N}]+|[\p{L}\p{M}\p{N}]+?(?=_|$)")
_NUMBER = regex.compile(r"v?\d+(?:\.\d+)*", regex.IGNORECASE)

# The same for texts of ASCII alone, which most are: `re` cuts them in a fifth of the time.
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")


def tokens(text: str) -> list[str]:
    """Words, identifiers, versions and runs of scripts without spaces, in order; nothing of what stands between them."""
    found: list[str] = (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)
    return found


def is_run(token: str) -> bool:
    """Whether a token is a run of characters of a script that writes no spaces."""
    return _RUN.match(token) is not None


def without_english_endings(text: str) -> str:
    """`text` without the endings that follow an apostrophe: `don't` is `don`, `the user's` is `the user`."""
    if "'" not in text and "’" not in text:
        return text
    shortened: str = _ENGLISH_ENDING.sub("", text)
    return shortened


def pairs(run: str) -> Iterator[str]:
    """The overlapping pairs of characters of a run, and its Han characters alone: many of them are words."""
    if len(run) == 1:
        yield run
        return
    for start in range(len(run) - 1):
        yield run[start : start + 2]
    yield from _HAN.findall(run)


def words(token: str) -> Iterator[str]:
    """A word as it is; an identifier whole, then its names, then their words."""
    if _NUMBER.fullmatch(token):
        yield token
        return
    names = token.split(".")
    if len(names) > 1:
        yield token
    for name in names:
        if not name.strip("_"):  # a rule or a blank drawn in underscores
            continue
        parts = [name] if _NUMBER.fullmatch(name) else _WORD.findall(name)
        if len(parts) != 1 or parts[0] != name:
            yield name
        yield from parts
