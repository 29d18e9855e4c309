"""A conversation as a file: Markdown to read, with each answer's sources, and JSON with everything."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ragkit.state.conversations import Conversation, Turn


def as_json(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Everything that is kept of it: settings, questions, answers with their hits and traces, judgments."""
    told = {**asdict(conversation), "turns": [{**asdict(turn), "answer": dict(turn.answer)} for turn in turns]}
    return json.dumps(told, ensure_ascii=False, indent=2) + "\n"


def as_markdown(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Questions, answers, and under each answer what it cites."""
    parts = [f"# {conversation.title or 'Conversation'}", f"Begun {_when(conversation.created)}."]
    for turn in turns:
        parts += [f"## {' '.join(turn.question.split())}", f"*Asked {_when(turn.asked)}.*", str(turn.answer.get("answer", ""))]
        if turn.answer.get("abstained"):
            parts.append("*Not answered.*")
        elif turn.answer.get("uncited"):
            parts.append("*This answer names no source.*")
        if sources := [_source(citation) for citation in turn.answer.get("citations") or ()]:
            parts.append("\n".join(["Sources:", "", *sources]))
        if turn.verdict is not None:
            comment = f": {' '.join(turn.comment.split())}" if turn.comment else ""
            parts.append(f"*Judged {'good' if turn.verdict > 0 else 'bad'}{comment}*")
    return "\n\n".join(parts) + "\n"


def file_name(conversation: Conversation, ending: str) -> str:
    """A name for the file, of letters that every system takes."""
    words = re.sub(r"[^a-z0-9]+", "-", conversation.title.lower()).strip("-")[:50].strip("-")
    return f"{words or 'conversation'}.{ending}"


def _source(citation: Mapping[str, Any]) -> str:
    quote = " ".join(str(citation.get("quote", "")).split())
    place = f"characters {citation.get('start')} to {citation.get('end')}"
    return f"- [{citation.get('n')}] {citation.get('uri')}, {place}: “{quote}”"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
