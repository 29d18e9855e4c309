"""The chat page in a real browser: one server and one browser for all of its tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser import Person, chromium
from chatting import TalkativeLLM, open_pipeline, serving
from fastapi import FastAPI
from playwright.sync_api import Browser

from ragkit import Pipeline
from ragkit.chat import mount


@dataclass
class Site:
    """A running page with what stands behind it."""

    address: str
    pipeline: Pipeline
    llm: TalkativeLLM
    folder: Path
    uploads: list[bool] = field(default_factory=lambda: [True])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module: as long as it is there, no other test of the process can have an event loop."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    llm, folder = TalkativeLLM(), tmp_path_factory.mktemp("chat")
    with open_pipeline(folder, llm) as pipeline:
        found = Site("", pipeline, llm, folder)
        with serving(mount(FastAPI(openapi_url=None), pipeline, may_upload=lambda owner: found.uploads[0])) as address:
            found.address = address
            yield found


@pytest.fixture(autouse=True)
def _nothing_left_waiting(site: Site) -> Iterator[None]:
    yield
    site.llm.forget()


@pytest.fixture
def people(browser: Browser, site: Site, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Person]]:
    """Makes people at the page. When the test is over, nothing may have gone wrong for any of them, nor in Gradio."""
    there: list[Person] = []

    def come(address: str = site.address, **options: Any) -> Person:
        there.append(Person.at(browser, address, **options))
        return there[-1]

    yield come
    for person in there:
        person.leave()
    for person in there:
        person.check()
    assert "Traceback" not in (err := capfd.readouterr().err), err


@pytest.fixture
def person(people: Callable[..., Person]) -> Person:
    """Somebody who has the page open."""
    return people().open()
