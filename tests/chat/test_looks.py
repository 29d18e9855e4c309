"""The page as it is used: with keys alone, on a narrow screen, in light and dark, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Person
from playwright.sync_api import expect

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

QUESTION = "How many days of paid leave does an employee have in a year?"
SERIOUS = ("serious", "critical")


def faults(person: Person) -> list[str]:
    found = Axe().run(person.page).response["violations"]
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(people: Callable[..., Person], scheme: Literal["light", "dark"]) -> None:
    person = people(color_scheme=scheme).open()
    assert person.page.evaluate("document.documentElement.dataset.theme") == scheme
    assert faults(person) == []
    person.ask(QUESTION)
    person.ask("Xylophone quarks perambulate zeppelins?")
    person.click("[aria-label='Good answer']")
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel mark")).to_be_in_viewport()
    assert faults(person) == []
    person.page.keyboard.press("Escape")
    person.click("[data-act=tune]")
    person.click(".rk-menu summary")
    person.begin("How many days of paid leave are there, if you break off?")
    expect(person.page.locator("#rk-live .rk-error")).to_be_visible()
    person.page.set_input_files(".rk-files", files=[{"name": "tool.exe", "mimeType": "text/plain", "buffer": b"MZ"}])
    expect(person.page.locator("#rk-uploads [data-state=failed]")).to_be_visible()
    assert faults(person) == []
    person.page.locator(".rk-menu li", has_text="Delete").click()
    assert faults(person) == []


def test_the_theme_is_switched_and_kept(people: Callable[..., Person]) -> None:
    person = people(color_scheme="light").open()
    ground = "getComputedStyle(document.querySelector('.gradio-container')).backgroundColor"
    before = person.page.evaluate(ground)
    person.click("[data-act=theme]")
    assert person.page.evaluate(ground) != before
    person.page.reload()
    person.ready()
    assert person.page.evaluate(ground) != before


def test_a_narrow_screen(people: Callable[..., Person]) -> None:
    person = people(viewport={"width": 360, "height": 740}, has_touch=True).open()

    def fits() -> None:
        beyond = """() => [...document.querySelectorAll("#rk-app :is(button, summary, input, textarea)")]
            .filter((item) => item.checkVisibility({ visibilityProperty: true }) && item.getBoundingClientRect().right > 360)
            .map((item) => item.outerHTML.slice(0, 80))"""
        assert person.page.evaluate(beyond) == []
        assert person.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert person.page.evaluate("document.querySelector('#rk-scroll').scrollWidth") <= 360

    fits()
    person.ask(f"{QUESTION} {'Donaudampfschifffahrtsgesellschaft' * 4}")
    fits()
    expect(person.page.locator("#rk-composer textarea")).to_be_in_viewport()
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel mark")).to_be_in_viewport()
    fits()
    person.click("#rk-panel [data-act=close]")
    expect(person.page.locator("#rk-panel")).to_be_hidden()
    person.click("[data-act=tune]")
    expect(person.page.locator("#rk-tune .rk-yaml")).to_be_in_viewport()
    person.click("#rk-tune [data-act=close]")
    expect(person.page.locator(".rk-item")).to_be_hidden()
    person.click("#rk-bar [data-act=side]")
    expect(person.page.locator(".rk-item")).to_be_in_viewport()
    person.click(".rk-new")
    expect(person.page.locator(".rk-item")).to_be_hidden()
    expect(person.page.locator(".rk-begin")).to_be_visible()
    fits()


def test_keys_are_enough(person: Person) -> None:
    page = person.page
    page.locator("body").click(position={"x": 640, "y": 500})
    page.keyboard.press("/")
    expect(page.locator("#rk-composer textarea")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Tell me.")
    assert page.input_value("#rk-composer textarea") == f"{QUESTION}\nTell me."
    page.keyboard.press("Enter")
    page.wait_for_selector(".rk-cite")
    page.wait_for_selector("body:not([data-busy])")
    assert "The documents say it plainly" in str(page.locator("#rk-announcer").text_content())
    page.locator(".rk-cite").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rk-panel h2")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#rk-panel")).to_be_hidden()
    expect(page.locator(".rk-cite").first).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#rk-composer textarea")).to_be_focused()


def test_the_focus_goes_where_the_eye_goes(person: Person) -> None:
    person.ask(QUESTION)
    person.page.locator(".rk-new").focus()
    seen = []
    for _ in range(20):
        seen.append(person.page.evaluate("document.activeElement.closest('[id^=rk-]')?.id"))
        person.page.keyboard.press("Tab")
    order = list(dict.fromkeys(where for where in seen if where))
    assert order[:4] == ["rk-side", "rk-bar", "rk-thread", "rk-composer"]


def test_an_example_is_one_click(person: Person) -> None:
    examples = person.page.locator(".rk-examples button")
    assert examples.count() > 0
    examples.first.click()
    expect(person.page.locator(".rk-question")).to_have_count(1)
    person.page.wait_for_selector("body:not([data-busy])")


def test_the_page_can_be_used_soon(people: Callable[..., Person], site: Any) -> None:
    person = people()
    began = time.perf_counter()
    person.open()
    assert time.perf_counter() - began < 3


def test_nothing_of_gradio_is_left_to_see(person: Person) -> None:
    assert person.page.locator("footer:visible").count() == 0
    assert "gradio" not in person.page.locator("body").inner_text().lower()
    assert person.page.title() == "Handbook"
