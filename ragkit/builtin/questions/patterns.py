"""Patterns of routes: checked before they are compiled, and searched with a time limit."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragkit.components import Stage

_TIMEOUT_S = 0.1
_MOST_CHARS = 1_000
_MOST_REPEATED = 100_000
_REPEATED = re.compile(r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}")


def check_pattern(pattern: str) -> None:
    """Raise `ValueError` for what is no regular expression, or for one that takes too much memory to compile.

    The library writes repetitions out, so those of a pattern may multiply to 100,000 at most.
    """
    import regex

    if len(pattern) > _MOST_CHARS:
        raise ValueError(f"has {len(pattern):,} characters; a pattern has at most {_MOST_CHARS:,}")
    times = [max(int(number[:9]) for number in ("1", *match.groups()) if number) for match in _REPEATED.finditer(pattern)]
    if prod(max(number, 1) for number in times) > _MOST_REPEATED:
        raise ValueError(f"repeats too much: the numbers in {{ }} multiply to more than {_MOST_REPEATED:,}; use + or *")
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def found(pattern: str, text: str, stage: Stage) -> bool:
    """Whether `pattern` is somewhere in `text`. One that takes longer than 0.1 s is not, and the stage is degraded."""
    import regex

    try:
        return regex.search(pattern, text, timeout=_TIMEOUT_S, concurrent=True) is not None
    except TimeoutError:
        stage.degraded(f"the pattern {pattern[:60]!r} took longer than {_TIMEOUT_S * 1000:.0f} ms and counts as not found")
        return False
