"""Asking a language model about a question: the prompt, what it says, and how that is read.

The question is data in the prompt, between marks that it cannot write itself. What the model says is data, too: it is
read up to 4,000 characters, and what it is used for is checked where it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from string import Formatter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

    from ragkit.components import Stage

MOST_READ = 4_000
"""Characters of an answer that are read."""
VARIANT_CHARS = 500
"""Characters of a variant or sub-question that are read."""
_QUESTION_CHARS = 8_000
_TOLD_CHARS = 200

_TAG = re.compile(r"<(\s*(?:/\s*)?question\s*)>", re.IGNORECASE)
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FENCE = re.compile(r"```[\w+-]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ITEM = re.compile(r"\s*(?:[-*•–]|\(?\d{1,3}[.):]|\[\d{1,3}\])\s+(.*)")
_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’", "«": "»"}


def check_prompt(prompt: str, needed: Sequence[str], known: Collection[str]) -> None:
    """Raise `ValueError` for a prompt that lacks a field of `needed`, or cannot be filled in with those of `known`."""
    try:
        fields = {name for _, name, _, _ in Formatter().parse(prompt) if name is not None}
    except ValueError as error:
        raise ValueError(f"cannot be filled in: {error}; write {{{{ for a brace") from None
    for name in needed:
        if name not in fields:
            raise ValueError(f"lacks {{{name}}}")
    if unknown := sorted(fields - set(known)):
        raise ValueError(f"has the unknown field {{{unknown[0]}}}; there is: {', '.join(f'{{{name}}}' for name in known)}")
    try:
        prompt.format(**dict.fromkeys(known, ""))
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"cannot be filled in: {error}") from None


def ask(llm: LLM, prompt: str, question: str, stage: Stage, **fields: Any) -> str:
    """What the LLM says to `prompt`, filled in with the question between marks and with `fields`; it stands in the trace.

    Empty where it failed or said nothing, which makes the stage degraded. What a model thinks aloud (up to `</think>`) is
    not read.
    """
    if len(question) > _QUESTION_CHARS:
        stage.note(f"the language model was shown the first {_QUESTION_CHARS:,} of {len(question):,} characters")
    try:
        said = str(llm.complete(prompt.format(question=marked(question), **fields)).text or "")
    except Exception as error:  # noqa: BLE001 - whatever a model's client raises, the question can be asked without it
        stage.degraded(f"the language model did not answer ({line(error)}); the question is asked as it is")
        return ""
    said = said.rpartition("</think>")[2].strip()[:MOST_READ]
    if said:
        stage.note(f"the language model said: {shortened(said)}")
    else:
        stage.degraded("the language model said nothing; the question is asked as it is")
    return said


def marked(question: str) -> str:
    """The question for a prompt, between `<question>` and `</question>`; where it has such marks itself, they are changed."""
    inside = _TAG.sub(r"(\1)", question[:_QUESTION_CHARS])
    return f"<question>\n{inside}\n</question>"


def printable(text: str) -> str:
    """`text` with spaces for control characters and halves of characters, which stores and models refuse."""
    return _NO_TEXT.sub(" ", text)


def plain(text: str) -> str:
    """`text` in one line, `printable`."""
    return " ".join(printable(text).split())


def shortened(text: str, chars: int = _TOLD_CHARS) -> str:
    """The beginning of a text as one line for the trace."""
    told = plain(text)
    return told if len(told) <= chars else f"{told[: chars - 1]}…"


def line(error: Exception) -> str:
    """An error in one line."""
    return shortened(f"{type(error).__name__}: {error}")


def unfenced(answer: str) -> str:
    """What is inside the first code fence, or all of it where there is none."""
    found = _FENCE.search(answer)
    return found[1] if found else answer


def texts_in(answer: str, question: str, most: int) -> list[str]:
    """Up to `most` different texts that an answer lists, other than `question`: one per line, or a JSON list.

    Lines may be numbered or have bullets; where some are, the others are talk. So is a line that ends with a colon. A text
    without a letter or a digit is none; longer ones are cut to 500 characters.
    """
    seen = {_same(question)}
    found: list[str] = []
    for written in _listed(unfenced(answer)):
        text = _bare(plain(written))[:VARIANT_CHARS].strip()
        if len(found) < most and any(map(str.isalnum, text)) and _same(text) not in seen:
            seen.add(_same(text))
            found.append(text)
    return found


def record_in(answer: str, keys: Collection[str]) -> dict[str, Any] | None:
    """The first JSON object in an answer that has one of `keys`; None where there is none."""
    text = unfenced(answer)
    for start in (place for place, character in enumerate(text) if character == "{"):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and not value.keys().isdisjoint(keys):
            return value
    return None


def _listed(answer: str) -> Iterator[str]:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))
        return
    lines = [text for text in answer.splitlines() if text.strip()]
    items = [match[1] for text in lines if (match := _ITEM.match(text))]
    yield from items or (text for text in lines if not text.rstrip().endswith((":", "：")))


def _bare(text: str) -> str:
    """`text` without the marks of bold type or code around it, and without quotation marks around the whole."""
    text = text.strip(" *`")
    closing = _QUOTES.get(text[:1])
    inside = text[1:-1]
    whole = len(text) > 2 and text[-1] == closing and text[0] not in inside and closing not in inside
    return inside.strip() if whole else text


def _same(text: str) -> str:
    """Equal for texts that differ in case, spaces and what stands at the end alone."""
    return " ".join(text.casefold().split()).rstrip(" ?.!")
