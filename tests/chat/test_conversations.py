"""Conversations on the page: found again, renamed, deleted, exported, judged; and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Person, owner
from playwright.sync_api import expect

pytestmark = [pytest.mark.service, pytest.mark.xdist_group("chat")]

QUESTION = "How many days of paid leave does an employee have in a year?"
OTHER = "Who has to consent to flights of the director?"


def menu(person: Person, entry: str) -> None:
    person.click(".rk-menu summary")
    person.page.locator(".rk-menu li", has_text=entry).click()


def listed(person: Person) -> list[str]:
    return [str(text) for text in person.page.locator(".rk-item").all_inner_texts()]


def test_a_conversation_is_there_after_a_reload(person: Person) -> None:
    person.ask(QUESTION)
    person.ask(OTHER)
    person.page.reload()
    person.ready()
    expect(person.page.locator("#rk-thread .rk-question")).to_have_text([QUESTION, OTHER])
    person.click(".rk-cite")
    expect(person.page.locator("#rk-panel mark")).to_be_in_viewport()
    assert person.page.locator("#rk-panel .rk-why-table tbody tr").count() >= 3
    person.click("[data-act=new]")
    expect(person.page.locator(".rk-begin")).to_be_visible()
    expect(person.page.locator("#rk-panel")).to_be_hidden()
    person.click(".rk-item")
    expect(person.page.locator("#rk-thread .rk-question")).to_have_count(2)


def test_what_a_changed_document_said_is_kept(person: Person, site) -> None:
    person.ask(QUESTION)
    path = site.folder / "docs" / "leave.md"
    before = path.read_text()
    try:
        path.write_text(before.replace("28 days", "30 days"))
        site.pipeline.ingest()
        person.click(".rk-cite")
        expect(person.page.locator("#rk-panel .rk-warn")).to_contain_text("changed since")
        expect(person.page.locator("#rk-panel mark")).to_contain_text("28 days")
    finally:
        path.write_text(before)
        site.pipeline.ingest()


def test_rename(person: Person) -> None:
    person.ask(QUESTION)
    menu(person, "Rename")
    person.page.fill("dialog input", "Days <off>")
    person.page.keyboard.press("Enter")
    expect(person.page.locator(".rk-item")).to_have_text("Days <off>")
    expect(person.page.locator("h1")).to_have_text("Days <off>")


def test_delete_asks_first(person: Person, site) -> None:
    person.ask(QUESTION)
    menu(person, "Delete")
    person.page.locator("dialog button", has_text="Cancel").click()
    assert len(listed(person)) == 1
    menu(person, "Delete")
    person.page.locator("dialog button", has_text="Delete").click()
    expect(person.page.locator(".rk-item")).to_have_count(0)
    expect(person.page.locator(".rk-begin")).to_be_visible()
    assert site.pipeline.conversations.of(owner(person)) == []


@pytest.mark.parametrize("kind", ["Markdown", "JSON"])
def test_export(person: Person, kind: str) -> None:
    person.ask(QUESTION)
    with person.page.expect_download() as saving:
        menu(person, kind)
    text = Path(saving.value.path()).read_text(encoding="utf-8")
    assert (
        saving.value.suggested_filename
        == f"how-many-days-of-paid-leave-does-an-employee-have.{'md' if kind == 'Markdown' else 'json'}"
    )
    if kind == "Markdown":
        assert f"## {QUESTION}" in text
        assert "- [1] leave.md, characters" in text
        assert "28 days of paid leave" in text
    else:
        (turn,) = json.loads(text)["turns"]
        assert turn["question"] == QUESTION
        assert turn["answer"]["citations"][0]["uri"] == "leave.md"


def test_thumbs_and_a_comment(person: Person, site) -> None:
    person.ask(QUESTION)
    person.click("[aria-label='Bad answer']")
    person.page.fill(".rk-comment input", "too short <b>")
    person.page.press(".rk-comment input", "Enter")
    expect(person.page.locator(".rk-toast")).to_have_count(2)
    (turn,) = site.pipeline.conversations.turns(owner(person), person.conversation)
    assert (turn.verdict, turn.comment) == (-1, "too short <b>")
    person.page.reload()
    person.ready()
    expect(person.page.locator("[aria-label='Bad answer']")).to_have_attribute("aria-pressed", "true")
    assert person.page.input_value(".rk-comment input") == "too short <b>"
    person.click("[aria-label='Bad answer']")
    expect(person.page.locator(".rk-toast").first).to_have_text("Taken back.")
    assert site.pipeline.conversations.turns(owner(person), person.conversation)[0].verdict is None


def test_a_judgment_keeps_its_comment_when_the_thumb_is_pressed_again(person: Person, site) -> None:
    person.ask(QUESTION)
    person.click("[aria-label='Good answer']")
    person.page.fill(".rk-comment input", "short")
    person.click(".rk-comment button")
    expect(person.page.locator(".rk-toast")).to_have_count(2)
    person.click("[aria-label='Bad answer']")
    expect(person.page.locator(".rk-toast")).to_have_count(3)
    (turn,) = site.pipeline.conversations.turns(owner(person), person.conversation)
    assert (turn.verdict, turn.comment) == (-1, "short")


def test_two_people_share_nothing(people: Callable[..., Person], site) -> None:
    one, other = people().open(), people().open()
    one.begin("How is paid leave requested, slowly?")
    other.ask(QUESTION)
    assert listed(other) == [QUESTION]
    site.llm.go.release(20)
    one.page.wait_for_selector("body:not([data-busy])")
    assert listed(one) == ["How is paid leave requested, slowly?"]
    assert other.page.locator(".rk-question").all_inner_texts() == [QUESTION]
    assert owner(one) != owner(other)


def test_a_forged_conversation_is_refused(people: Callable[..., Person], site) -> None:
    victim, thief = people().open(), people().open()
    victim.ask(QUESTION)
    stolen = victim.conversation
    thief.page.goto(f"{site.address}#{stolen}")
    thief.page.reload()
    thief.ready()
    assert "no such conversation" in thief.toast()
    assert thief.page.locator(".rk-question").count() == 0
    forged = [
        ("expand", {"turn": 1, "n": 1}), ("download", {"format": "json"}), ("edit", {"title": "mine"}), ("delete", {}),
        ("like", {"turn": 1, "verdict": -1}), ("apply", {"k": 1}), ("select", {}), ("stop", {}),
        ("upload", {"files": [{"sent": "/etc/passwd", "name": "passwd.txt"}]}),
    ]  # fmt: skip
    for event, data in forged:
        thief.send(event, {"conversation": stolen, "owner": owner(victim), **data})
    expect(thief.page.locator("#rk-uploads [data-state=failed]")).to_contain_text("did not arrive")
    expect(thief.page.locator(".rk-toast")).to_have_count(8)
    thief.send("submit", {"conversation": stolen, "question": "And then?"})
    expect(thief.page.locator("#rk-live .rk-error")).to_contain_text("no such conversation")
    assert "28 days" not in thief.page.content()
    (kept,) = site.pipeline.conversations.of(owner(victim))
    (turn,) = site.pipeline.conversations.turns(owner(victim), stolen)
    assert (kept.title, kept.settings, turn.verdict) == (QUESTION, {}, None)
