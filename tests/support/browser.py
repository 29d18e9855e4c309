"""Chromium for tests of the chat page: found, started once, and watched by each page for what must not happen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WAIT_MS = 15_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where none is installed, the test is skipped."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("the chat page is tested in Chromium, which is missing: apt-get install chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@dataclass
class Person:
    """Somebody at the page, with a browser of their own. `problems` has errors and dialogs, `hosts` whom the browser asked."""

    page: Page
    address: str
    problems: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, browser: Browser, address: str, **options: Any) -> Person:
        """A new browser, whose page is not open yet."""
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **options}).new_page()
        page.set_default_timeout(WAIT_MS)
        person = cls(page, address)

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                person.problems.append(f"console: {message.text} {message.location.get('url', '')}")

        page.on("console", said)
        page.on("pageerror", lambda error: person.problems.append(f"script: {error}"))
        page.on("dialog", lambda dialog: (person.problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: person.hosts.add(urlsplit(request.url).netloc or request.url[:30]))
        return person

    def open(self, conversation: str = "") -> Person:
        """Open the page, or a conversation on it, and wait until it can be used."""
        self.page.goto(f"{self.address}{f'#{conversation}' if conversation else ''}")
        self.ready()
        return self

    def ready(self) -> None:
        self.page.wait_for_selector("#rk-composer textarea:enabled")

    def ask(self, question: str) -> None:
        """Ask, and wait for the end of the answer."""
        before = self.page.locator("#rk-thread .rk-turn").count()
        self.begin(question)
        self.page.wait_for_selector("body:not([data-busy])")
        assert self.page.locator("#rk-thread .rk-turn").count() == before + 1, self.page.locator("#rk-live").inner_text()

    def begin(self, question: str) -> None:
        """Ask, without waiting for the answer."""
        self.page.fill("#rk-composer textarea", question)
        self.page.press("#rk-composer textarea", "Enter")
        self.page.wait_for_selector(".rk-question")

    def answer(self) -> str:
        """The text of the last answer."""
        return str(self.page.locator("#rk-thread .rk-text").last.inner_text())

    def click(self, selector: str) -> None:
        self.page.locator(selector).first.click()

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    @property
    def conversation(self) -> str:
        """The id of the open conversation."""
        return str(self.page.locator("#rk-thread .rk-thread").get_attribute("data-conversation"))

    def toast(self) -> str:
        """The last message, once there is one."""
        self.page.wait_for_selector(".rk-toast")
        return str(self.page.locator(".rk-toast").last.inner_text())

    def send(self, event: str, data: dict[str, Any]) -> None:
        """What the page's script sends, with other content: a forged request."""
        self.page.evaluate("([event, data]) => window.ragkit.channel.trigger(event, data)", [event, data])

    def leave(self) -> None:
        self.page.context.close()

    def check(self) -> None:
        """Nothing went wrong, and nobody else was asked."""
        assert self.problems == []
        assert {re.sub(r":\d+$", "", host) for host in self.hosts} <= {"127.0.0.1", "blob:http", ""}, self.hosts


def owner(person: Person) -> str:
    """The id that the page knows somebody by."""
    return next(str(cookie.get("value")) for cookie in person.page.context.cookies() if cookie.get("name") == "ragkit_visitor")
