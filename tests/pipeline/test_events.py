"""LlamaIndex's callback events: nothing is remembered of them where nobody listens, and who listens hears them."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import pytest
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from projects import Project

from ragkit import Pipeline
from ragkit.pipeline.events import Unheard


def remembered() -> int:
    """Events that all callback managers of this process hold."""
    managers = [thing for thing in gc.get_objects() if issubclass(type(thing), CallbackManager)]
    return sum(len(events) for manager in managers for events in manager.trace_map.values())


def asked(tmp_path: Path) -> Pipeline:
    project = Project(tmp_path / "project", size=20)
    project.write("leave.md", "Every employee has 28 days of paid leave in a year.\n")
    pipeline = project.open()
    pipeline.ingest()
    pipeline.ask("How many days of paid leave has every employee?")
    return pipeline


def test_questions_leave_no_events_behind(tmp_path: Path) -> None:
    with asked(tmp_path) as pipeline:
        before = remembered()
        for number in range(30):
            pipeline.ask(f"How many days of paid leave has employee {number}?")
        assert remembered() < before + 30  # other pipelines of this process may have theirs


def test_a_handler_that_the_settings_name_hears_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    monkeypatch.setattr(Settings, "_callback_manager", CallbackManager([handler]))
    with asked(tmp_path):
        heard = {event.event_type for event in handler.get_events()}
    assert {CBEventType.EMBEDDING, CBEventType.RETRIEVE, CBEventType.SYNTHESIZE} <= heard


def test_a_chunker_goes_to_another_process_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with asked(tmp_path) as pipeline:
        chunker = pipeline._index.wiring.build(pipeline.config.chunker)
    assert type(chunker.callback_manager) is Unheard
    again = pickle.loads(pickle.dumps(chunker))
    assert again.size == chunker.size
    assert caplog.records == [], "LlamaIndex warns of what it leaves out"
