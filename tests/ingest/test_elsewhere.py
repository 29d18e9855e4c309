"""Cutting in a process of its own: the same chunks, also where that process fails or cannot be had."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import BaseNode
from projects import Project
from sqlalchemy import select

from ragkit.builtin.chunkers.sentence import SentenceChunker
from ragkit.ingest.cutting import Chunked, Cuttable, Cutter
from ragkit.ingest.elsewhere import Cutting
from ragkit.ingest.report import Clock
from ragkit.state.schema import chunks
from ragkit.words import WordTokenizer, counting

TEXTS = [" ".join(f"Sentence {line} of text {number} says something." for line in range(30)) for number in range(6)]


def documents(**metadata: Any) -> list[Cuttable]:
    return [Cuttable(uuid.UUID(int=number), "s", f"{number}", "Title", text, metadata) for number, text in enumerate(TEXTS)]


class Refuses(SentenceChunker):
    """Cannot cut the text that names 3."""

    def spans(self, text: str, *, markdown: bool = True) -> list[tuple[int, int]]:
        if "text 3" in text:
            raise ValueError("a three")
        return super().spans(text, markdown=markdown)


class Locked(NodeParser):
    """What cannot be sent to another process."""

    def _parse_nodes(self, nodes: Any, show_progress: bool = False, **kwargs: Any) -> list[BaseNode]:
        return list(nodes)

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle '_thread.lock' object")


def cutter(kind: type[NodeParser] = SentenceChunker) -> Cutter:
    tokenizer = counting(WordTokenizer())
    return Cutter(kind(tokenizer=tokenizer, size=40, overlap=8) if kind is not Locked else Locked(), tokenizer, "f")


@pytest.fixture
def cuttings() -> Iterator[list[Cutting]]:
    made: list[Cutting] = []
    yield made
    for cutting in made:
        cutting.close()


@pytest.fixture
def elsewhere(cuttings: list[Cutting], monkeypatch: pytest.MonkeyPatch) -> Cutting:
    """A cutting whose process is ready."""
    return started(cutter(), cuttings, monkeypatch)


def started(what: Cutter, cuttings: list[Cutting], monkeypatch: pytest.MonkeyPatch) -> Cutting:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    cutting = Cutting(what, Clock(), alone=True, worth=1)
    cuttings.append(cutting)
    cutting.begin(documents()[:1])()
    process = cutting._process
    assert process is not None
    process._starting.join(60)
    return cutting


def process_id(cutting: Cutting) -> int:
    assert cutting._process is not None
    assert cutting._process._process is not None
    return cutting._process._process.pid


def here(what: Cutter) -> list[Chunked]:
    return Cutting(what, Clock(), alone=False).begin(documents())()


def test_the_same_chunks(elsewhere: Cutting, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = here(cutter())
    monkeypatch.setattr(Cutter, "cut", None)  # whoever cuts here fails
    assert elsewhere.begin(documents())() == expected
    assert elsewhere.begin([])() == []


def test_an_answer_that_nobody_waited_for_is_not_taken_for_another(elsewhere: Cutting) -> None:
    elsewhere.begin(documents()[:2])
    assert elsewhere.begin(documents()[2:])() == here(cutter())[2:]


def test_a_text_that_cannot_be_cut_is_told_as_here(cuttings: list[Cutting], monkeypatch: pytest.MonkeyPatch) -> None:
    told = here(cutter(Refuses))
    assert told[3] == "cannot be cut into chunks: ValueError: a three"
    assert started(cutter(Refuses), cuttings, monkeypatch).begin(documents())() == told


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_process_that_ends_costs_nothing(elsewhere: Cutting, caplog: pytest.LogCaptureFixture, when: str) -> None:
    expected = here(cutter())
    if when == "before":
        os.kill(process_id(elsewhere), signal.SIGKILL)
        assert elsewhere.begin(documents())() == expected
    else:
        os.kill(process_id(elsewhere), signal.SIGSTOP)
        answer = elsewhere.begin(documents())
        os.kill(process_id(elsewhere), signal.SIGKILL)
        assert answer() == expected
    assert elsewhere.begin(documents())() == expected
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == ["the process that cuts texts failed"]


def test_what_cannot_be_sent_is_cut_here(elsewhere: Cutting) -> None:
    odd = documents(note=threading.Lock())
    assert [len(cut) for cut in elsewhere.begin(odd)()] == [len(cut) for cut in here(cutter())]


def test_a_chunker_that_cannot_be_sent_cuts_here(
    cuttings: list[Cutting], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cutting = started(cutter(Locked), cuttings, monkeypatch)
    assert [len(cut) for cut in cutting.begin(documents())()] == [1] * len(TEXTS)
    assert not caplog.records


def test_no_process_for_little_text_one_core_or_a_chunker_that_needs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    few, needy = Cutting(cutter(), Clock(), alone=True), Cutting(cutter(), Clock(), alone=False, worth=1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    one = Cutting(cutter(), Clock(), alone=True, worth=1)
    for cutting in (few, needy, one):
        cutting.begin(documents())()
        assert cutting._process is None


@pytest.mark.parametrize("how", ["close", "parent"])
def test_the_process_ends_with_this_one(elsewhere: Cutting, how: str) -> None:
    process = elsewhere._process
    assert process is not None
    assert process._process is not None
    assert process._here is not None
    if how == "close":
        elsewhere.close()
    else:
        process._here.close()
    assert process._process.wait(30) is not None


def test_an_ingest_with_much_to_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The whole way, with more chunks than a process is worth: what the ledger holds is what one process makes of it."""
    pages = {f"page{number:03}.md": f"# Page {number}\n\n" + f"{TEXTS[number % 6]} " * 4 for number in range(140)}
    asked: list[int] = []
    begin = Cutting.begin
    monkeypatch.setattr(
        Cutting, "begin", lambda self, documents: (asked.append(self._process is not None), begin(self, documents))[1]
    )
    held = []
    for cores in ({0, 1}, {0}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        project = Project(tmp_path / str(len(cores)), size=32)
        for name, text in pages.items():
            project.write(name, text)
        report = project.ingest()
        assert report.exit_status == 0
        assert report.chunks["total"] > 2_500
        with project.open() as pipeline, pipeline._index.ledger.read() as connection:
            held.append(sorted(tuple(row) for row in connection.execute(select(chunks.c.id, chunks.c.text, chunks.c.start))))
        assert any(asked) == (len(cores) == 2)
        asked.clear()
    assert held[0] == held[1]
    assert not caplog.records
