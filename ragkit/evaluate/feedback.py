"""What people thought of answers, as questions with judgments that `load` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from ragkit.state.conversations import Turn

_VERDICTS = {1: "good", -1: "bad"}


def records(turns: Iterable[Turn]) -> Iterator[dict[str, Any]]:
    """A question per judged turn: the passages that a good answer cites are relevant, those of a bad one are judged and not.

    A good answer's text is one of the `answers`. Who asked stands nowhere. An answer that cites nothing judges nothing, and
    is there for its comment; `load` says how many such it leaves out.
    """
    for turn in turns:
        if turn.verdict not in _VERDICTS:
            continue
        good, citations = turn.verdict > 0, turn.answer.get("citations") or ()
        judged = datetime.fromtimestamp(turn.rated or turn.asked, UTC).isoformat(timespec="seconds")
        yield {
            "id": f"{turn.conversation[:12]}-{turn.number}",
            "question": turn.question,
            "relevant": [
                {"document": citation["uri"], "quote": citation["quote"], "grade": int(good)}
                for citation in {(item["uri"], item["quote"]): item for item in citations}.values()
            ],
            "answers": [turn.answer["answer"]] if good and not turn.answer.get("abstained") else [],
            "verdict": _VERDICTS[turn.verdict],
            "comment": turn.comment,
            "judged": judged,
        }
