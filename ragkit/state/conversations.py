"""What people asked and what they were told: a database of its own beside the ledger.

Every row belongs to an owner, and every method asks for one: nobody sees, changes or continues what belongs to somebody
else. Both the conversations of an owner and the turns of a conversation are bounded; the oldest go.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from ragkit.errors import ConversationError, StateError
from ragkit.state.columns import TEXT
from ragkit.state.storage import BROKEN, Storage

TITLE_CHARS = 80
COMMENT_CHARS = 4_000
_NAME = "conversations"
_TABLES = MetaData()

_conversations = Table(
    "conversations",
    _TABLES,
    Column("id", String(32), primary_key=True),
    Column("owner", TEXT, nullable=False),
    Column("title", TEXT, nullable=False),
    Column("created", Float, nullable=False),
    Column("updated", Float, nullable=False),
    Column("settings", TEXT, nullable=False),
    Index("conversations_owner", "owner", "updated"),
)

_turns = Table(
    "turns",
    _TABLES,
    Column("conversation", String(32), ForeignKey("conversations.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("asked", Float, nullable=False),
    Column("question", TEXT, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("verdict", Integer),
    Column("comment", TEXT, nullable=False),
    Column("rated", Float),
    Index("turns_rated", "rated"),
)
"""`answer` is JSON, compressed with zlib; `verdict` is 1 or −1, or NULL."""


@dataclass(frozen=True)
class Turn:
    """A question with its answer, as `Answer.to_dict` has it. `verdict` is 1 (good), −1 (bad) or None; times are in seconds
    since the epoch.
    """

    conversation: str
    number: int
    asked: float
    question: str
    answer: Mapping[str, Any]
    verdict: int | None = None
    comment: str = ""
    rated: float | None = None


@dataclass(frozen=True)
class Conversation:
    """A conversation without its turns. `settings` override the configuration for its questions, such as `{"alpha": 0.3}`."""

    id: str
    title: str
    created: float
    updated: float
    settings: Mapping[str, Any]


class Conversations:
    """The conversations of one state. Threads and processes may share it.

    An owner keeps the `most` conversations that were used last, a conversation its last `turns` turns. Methods raise
    `ConversationError` for a conversation that the owner has not, and `StateError` where the database cannot be used.
    """

    def __init__(self, storage: Storage, *, most: int = 1_000, turns: int = 500) -> None:
        self._storage = storage
        self._most = most
        self._turns = turns
        self._made: Engine | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            engine, self._made = self._made, None
        if engine is not None:
            self._storage.close(engine)

    def start(self, owner: str, title: str = "") -> Conversation:
        """A new conversation; without a title its first question becomes it."""
        now = time.time()
        started = Conversation(uuid.uuid4().hex, _title(title), now, now, {})
        with self._writing() as connection:
            connection.execute(insert(_conversations), {**asdict(started), "owner": owner, "settings": "{}"})
            mine = select(_conversations.c.id).where(_conversations.c.owner == owner)
            old = list(connection.execute(mine.order_by(_conversations.c.updated.desc()).offset(self._most)).scalars())
            connection.execute(delete(_turns).where(_turns.c.conversation.in_(old)))
            connection.execute(delete(_conversations).where(_conversations.c.id.in_(old)))
        return started

    def of(self, owner: str) -> list[Conversation]:
        """The conversations of an owner, last used first."""
        query = select(_conversations).where(_conversations.c.owner == owner).order_by(_conversations.c.updated.desc())
        with self._reading() as connection:
            return [_conversation(row) for row in connection.execute(query)]

    def get(self, owner: str, conversation: str) -> Conversation:
        """One of them."""
        with self._reading() as connection:
            return self._mine(connection, owner, conversation)

    def turns(self, owner: str, conversation: str, last: int | None = None) -> list[Turn]:
        """The turns in the order in which they were asked; with `last`, so many of the newest."""
        query = select(_turns).where(_turns.c.conversation == conversation).order_by(_turns.c.number.desc()).limit(last)
        with self._reading() as connection:
            self._mine(connection, owner, conversation)
            return [_turn(row) for row in connection.execute(query)][::-1]

    def add(self, owner: str, conversation: str, question: str, answer: Mapping[str, Any]) -> Turn:
        """A turn, which becomes the last one. `answer` is what `Answer.to_dict` gives."""
        now = time.time()
        with self._writing() as connection:
            mine = self._mine(connection, owner, conversation)
            here = _turns.c.conversation == conversation
            number = (connection.execute(select(func.max(_turns.c.number)).where(here)).scalar() or 0) + 1
            packed = zlib.compress(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace"))
            values = {"conversation": conversation, "number": number, "asked": now, "question": question, "comment": ""}
            connection.execute(insert(_turns), {**values, "answer": packed})
            connection.execute(delete(_turns).where(here, _turns.c.number <= number - self._turns))
            self._change(connection, conversation, updated=now, title=mine.title or _title(question))
        return Turn(conversation, number, now, question, answer)

    def rename(self, owner: str, conversation: str, title: str) -> Conversation:
        """Another title."""
        if not title.strip():
            raise ConversationError("a title has to say something", cure="write a few words")
        with self._writing() as connection:
            self._mine(connection, owner, conversation)
            self._change(connection, conversation, title=_title(title))
            return self._mine(connection, owner, conversation)

    def set(self, owner: str, conversation: str, settings: Mapping[str, Any]) -> Conversation:
        """The settings for the questions that follow; they take the place of those before."""
        with self._writing() as connection:
            self._mine(connection, owner, conversation)
            self._change(connection, conversation, settings=json.dumps(dict(settings)))
            return self._mine(connection, owner, conversation)

    def delete(self, owner: str, conversation: str) -> None:
        """Forget a conversation with all that was said, and thought of it."""
        with self._writing() as connection:
            self._mine(connection, owner, conversation)
            connection.execute(delete(_turns).where(_turns.c.conversation == conversation))
            connection.execute(delete(_conversations).where(_conversations.c.id == conversation))

    def rate(self, owner: str, conversation: str, number: int, verdict: int | None, comment: str = "") -> Turn:
        """What its owner thinks of an answer: 1 (good), −1 (bad), or None, which takes it back."""
        if verdict not in (1, -1, None):
            raise ConversationError(f"a verdict is 1, -1 or nothing, not {verdict!r}")
        if len(comment) > COMMENT_CHARS:
            raise ConversationError(f"the comment has {len(comment):,} characters; at most {COMMENT_CHARS:,} are kept")
        here = (_turns.c.conversation == conversation) & (_turns.c.number == number)
        values = {"verdict": verdict, "comment": comment if verdict else "", "rated": time.time() if verdict else None}
        with self._writing() as connection:
            self._mine(connection, owner, conversation)
            row = connection.execute(update(_turns).where(here).values(values).returning(*_turns.c)).one_or_none()
        if row is None:
            raise ConversationError(f"the conversation has no turn {number}")
        return _turn(row)

    def rated(self) -> Iterator[Turn]:
        """Every turn of every owner that somebody has judged, in the order of the judgments."""
        if self._storage.has(_NAME, _TABLES):
            with self._reading() as connection:
                yield from map(
                    _turn, connection.execute(select(_turns).where(_turns.c.rated.is_not(None)).order_by(_turns.c.rated))
                )

    def _mine(self, connection: Connection, owner: str, conversation: str) -> Conversation:
        """The owner's conversation. The error does not tell whether somebody else has it."""
        query = select(_conversations).where(_conversations.c.id == conversation, _conversations.c.owner == owner)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise ConversationError("there is no such conversation", cure="start a new one; it may have been deleted")
        return _conversation(row)

    def _change(self, connection: Connection, conversation: str, **values: Any) -> None:
        connection.execute(update(_conversations).where(_conversations.c.id == conversation).values(values))

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._explained(), self._engine().connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._explained(), self._engine().connect().execution_options(ragkit_write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            fault = self._storage.fault(error)
            raise StateError(
                f"the conversations in {self._storage.where(_NAME)} cannot be used: {fault.reason}", cure=fault.cure
            ) from error

    def _engine(self) -> Engine:
        """The database, made when it is first needed."""
        with self._lock:
            if self._made is None:
                self._storage.prepare()
                engine = self._storage.open(_NAME, durable=True)
                with engine.connect().execution_options(ragkit_write=True) as connection, connection.begin():
                    _TABLES.create_all(connection)
                self._made = engine
            return self._made


def _title(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 2].rsplit(" ", 1)[0] + " …"


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(row.id, row.title, row.created, row.updated, json.loads(row.settings))


def _turn(row: Row[Any]) -> Turn:
    answer = json.loads(zlib.decompress(row.answer))
    return Turn(row.conversation, row.number, row.asked, row.question, answer, row.verdict, row.comment, row.rated)
