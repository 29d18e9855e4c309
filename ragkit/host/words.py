"""How messages speak of kinds and of names that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from ragkit.components import Kind


def label(kind: Kind) -> str:
    """The kind as a person says it: `vector store`, `LLM`."""
    return "LLM" if kind is Kind.LLM else kind.value.replace("_", " ")


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant by `name`: a close spelling, else one that contains the other."""
    import difflib

    folded = {candidate.casefold(): candidate for candidate in candidates}
    wanted = name.casefold()
    close = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.6)
    if close:
        return folded[close[0]]
    within = [part for part in folded if min(len(part), len(wanted)) >= 3 and (part in wanted or wanted in part)]
    return folded[max(within, key=len)] if within else None


def one_line(error: BaseException) -> str:
    """An exception as `Type: message`, on one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
