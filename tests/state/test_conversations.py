"""Conversations: kept, bounded, and nobody else's."""

from __future__ import annotations

import threading

import pytest

from ragkit.errors import ConversationError, StateError
from ragkit.state.conversations import COMMENT_CHARS, Conversations
from ragkit.state.sqlite import SqliteStorage

pytest_plugins = ["storages"]

ANSWER = {"answer": "28 days. [1]", "citations": [{"uri": "leave.md", "quote": "28 days"}], "abstained": False}


@pytest.fixture
def kept(storage):
    conversations = Conversations(storage(), most=3, turns=4)
    yield conversations
    conversations.close()


def test_a_conversation_is_there_after_a_restart(storage, kept):
    started = kept.start("ann")
    kept.add("ann", started.id, "How many days\nof leave?", ANSWER)
    kept.set("ann", started.id, {"alpha": 0.3})
    kept.close()
    again = Conversations(storage())
    (found,) = again.of("ann")
    assert (found.id, found.title, found.settings) == (started.id, "How many days of leave?", {"alpha": 0.3})
    (turn,) = again.turns("ann", started.id)
    assert (turn.number, turn.question, turn.answer, turn.verdict) == (1, "How many days\nof leave?", ANSWER, None)
    again.close()


def test_nobody_reaches_what_belongs_to_somebody_else(kept):
    mine = kept.start("ann")
    kept.add("ann", mine.id, "a secret?", ANSWER)
    tries = [
        lambda: kept.get("bob", mine.id),
        lambda: kept.turns("bob", mine.id),
        lambda: kept.add("bob", mine.id, "x", ANSWER),
        lambda: kept.rename("bob", mine.id, "x"),
        lambda: kept.set("bob", mine.id, {}),
        lambda: kept.rate("bob", mine.id, 1, 1),
        lambda: kept.delete("bob", mine.id),
    ]
    for attempt in tries:
        with pytest.raises(ConversationError, match="no such conversation"):
            attempt()
    assert kept.of("bob") == []
    assert [turn.question for turn in kept.turns("ann", mine.id)] == ["a secret?"]
    assert kept.get("ann", mine.id).title == "a secret?"


def test_the_oldest_turns_and_conversations_go(kept):
    first, *others = [kept.start("ann", f"number {number}") for number in range(3)]
    other = kept.start("bob")
    for number in range(6):
        kept.add("ann", first.id, f"question {number}", ANSWER)
    assert [turn.number for turn in kept.turns("ann", first.id)] == [3, 4, 5, 6]
    assert [turn.number for turn in kept.turns("ann", first.id, last=2)] == [5, 6]
    kept.start("ann", "one more")
    assert {item.title for item in kept.of("ann")} == {"number 0", "number 2", "one more"}
    with pytest.raises(ConversationError):
        kept.get("ann", others[0].id)
    assert kept.of("bob") == [other]


def test_renaming_and_deleting(kept):
    started = kept.start("ann")
    assert kept.rename("ann", started.id, "  Leave \n and travel ").title == "Leave and travel"
    with pytest.raises(ConversationError, match="has to say something"):
        kept.rename("ann", started.id, " \n")
    kept.add("ann", started.id, "x", ANSWER)
    kept.rate("ann", started.id, 1, 1)
    kept.delete("ann", started.id)
    assert kept.of("ann") == []
    assert list(kept.rated()) == []


def test_judgments_are_kept_changed_and_taken_back(kept):
    started = kept.start("ann")
    for question in ("one", "two"):
        kept.add("ann", started.id, question, ANSWER)
    kept.rate("ann", started.id, 2, -1, "wrong year")
    kept.rate("ann", started.id, 1, 1)
    assert [(turn.question, turn.verdict, turn.comment) for turn in kept.rated()] == [("two", -1, "wrong year"), ("one", 1, "")]
    assert kept.rate("ann", started.id, 2, None, "never mind").comment == ""
    assert [turn.question for turn in kept.rated()] == ["one"]
    for number, verdict, comment in [(9, 1, ""), (1, 2, ""), (1, 1, "x" * (COMMENT_CHARS + 1))]:
        with pytest.raises(ConversationError):
            kept.rate("ann", started.id, number, verdict, comment)


def test_turns_of_many_threads_get_numbers_of_their_own(storage):
    kept = Conversations(storage())
    started = kept.start("ann")
    threads = [threading.Thread(target=kept.add, args=("ann", started.id, f"q{number}", ANSWER)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [turn.number for turn in kept.turns("ann", started.id)] == list(range(1, 13))
    kept.close()


def test_text_that_is_no_unicode_is_kept_as_far_as_it_is(kept):
    started = kept.start("ann")
    kept.add("ann", started.id, "x", {**ANSWER, "answer": "half \ud83d"})
    assert kept.turns("ann", started.id)[0].answer["answer"] == "half ?"


def test_a_damaged_database_is_told(tmp_path):
    (tmp_path / "conversations.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match="cannot be used"):
        Conversations(SqliteStorage(tmp_path)).of("ann")
